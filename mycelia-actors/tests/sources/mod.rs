//! The sources of the libraries, for tests that look for what must not be forgotten.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the workspace.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The files of these crates, as `actors/drain/quiet.rs`, with their texts as far as the module of their tests.
pub(crate) fn sources(crates: &[&str]) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for name in crates {
        let folders = [format!("mycelia-{name}/src"), format!("extras/mycelia-{name}/src")];
        let folder =
            folders.map(|folder| workspace().join(folder)).into_iter().find(|folder| folder.exists());
        let folder = folder.unwrap_or_else(|| panic!("there is no crate `{name}`"));
        let mut files = Vec::new();
        collect(&folder, &mut files);
        all.extend(files.into_iter().map(|file| {
            let text = fs::read_to_string(&file).unwrap();
            let end =
                ["#[cfg(test)]\nmod ", "#[cfg(all(test"].iter().filter_map(|tests| text.find(tests)).min();
            let name = format!("{name}/{}", file.strip_prefix(&folder).unwrap().display());
            (name, text[..end.unwrap_or(text.len())].to_owned())
        }));
    }
    all
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

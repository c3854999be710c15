//! From the bytes of a line to its words.

use std::borrow::Cow;

/// A line as text.
#[derive(Debug, PartialEq)]
pub(crate) struct Text<'a> {
    /// With a U+FFFD wherever it was not UTF-8.
    pub(crate) text: Cow<'a, str>,
    /// Bytes that were not UTF-8.
    pub(crate) foreign: u64,
}

impl<'a> Text<'a> {
    pub(crate) fn decode(line: &'a [u8]) -> Self {
        let foreign = line.utf8_chunks().map(|chunk| chunk.invalid().len() as u64).sum();
        Self { text: String::from_utf8_lossy(line), foreign }
    }
}

/// Words in small letters: letters, digits, `-` and `_`, with a letter first. Numbers and dates are none.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_')
        .map(|word| word.trim_matches(['-', '_']))
        .filter(|word| word.starts_with(char::is_alphabetic))
        .map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        words(text).collect()
    }

    #[test]
    fn words_begin_with_a_letter_and_are_small() {
        assert_eq!(
            split("2025-06-24 14:36:25 status half-configured Libc6:amd64 2.36-9+deb12u9"),
            ["status", "half-configured", "libc6", "amd64", "deb12u9"]
        );
        assert_eq!(split("--install a_b _ - 42 Émile ÄRGER"), ["install", "a_b", "émile", "ärger"]);
        assert_eq!(split(""), [""; 0]);
    }

    #[test]
    fn a_byte_that_is_not_utf8_is_counted_and_ends_a_word() {
        let text = Text::decode(b"ab\xffcd \xc3\xa9t\xc3\xa9 \xe2\x82");
        assert_eq!(text.foreign, 3);
        assert_eq!(split(&text.text), ["ab", "cd", "été"]);
        assert_eq!(Text::decode("plain".as_bytes()), Text { text: "plain".into(), foreign: 0 });
    }
}

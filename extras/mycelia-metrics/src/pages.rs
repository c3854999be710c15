//! The dashboard's files, built in.

/// A file: its path, what it is, and what is in it.
pub(crate) struct Page {
    pub(crate) path: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) content: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

pub(crate) const INDEX: Page =
    Page { path: "/", content_type: HTML, content: include_str!("dashboard/index.html") };

/// What the page needs.
pub(crate) const PAGES: [Page; 4] = [
    Page { path: "/dashboard.css", content_type: CSS, content: include_str!("dashboard/dashboard.css") },
    Page { path: "/dashboard.js", content_type: SCRIPT, content: include_str!("dashboard/dashboard.js") },
    Page { path: "/uplot.css", content_type: CSS, content: include_str!("dashboard/vendor/uPlot.min.css") },
    Page {
        path: "/uplot.js",
        content_type: SCRIPT,
        content: include_str!("dashboard/vendor/uPlot.iife.min.js"),
    },
];

//! Mistakes that do not compile, and what the compiler says to them.
#![cfg(not(any(mycelia_loom, miri)))]

#[test]
fn mistakes_in_routes_and_path_asks_are_explained() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

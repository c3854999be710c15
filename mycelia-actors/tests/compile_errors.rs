//! Mistakes that do not compile, and what the compiler says to them.
#![cfg(not(any(mycelia_loom, miri)))]

#[test]
fn mistakes_are_explained() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

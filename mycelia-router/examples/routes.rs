//! A small table of routes: what finds what, who may, and what a miss says.
//!
//! ```text
//! cargo run -p mycelia-router --example routes
//! ```

use std::error::Error;

use mycelia_router::{Pattern, Policy, Principal, Router};

fn main() -> Result<(), Box<dyn Error>> {
    let mut router = Router::with_policy(Policy::Scoped);
    for (pattern, scope, action) in [
        ("users/{id}", "users:read", "show a user"),
        ("users/me", "users:read", "show yourself"),
        ("users/{id}/files/{*path}", "files:read", "show a file"),
        ("reports/{year}.json", "reports:read", "show a report"),
    ] {
        let pattern: Pattern = pattern.parse()?;
        router.insert(pattern.requiring(scope.parse()?), action)?;
    }
    println!("routes, the preferred first:");
    for (pattern, action) in &mut router.iter() {
        println!("  {pattern:?}: {action}");
    }

    let ada = Principal::new("ada", ["users:*", "reports:read"])?;
    println!("\npaths, asked by {ada}:");
    for path in [
        "users/me",
        "users/%6De",
        "users/7",
        "users/7/files/a/b.txt",
        "users/7/files/a%2Fb",
        "reports/2026.json",
        "report/2026.json",
        "users//7",
    ] {
        match router.at(path) {
            Ok(hit) => match hit.permit(Some(&ada)) {
                Ok(()) => println!("  {path}: {} {:?}", hit.value(), hit.params()),
                Err(denied) => println!("  {path}: {denied}"),
            },
            Err(miss) => println!("  {miss}"),
        }
    }
    Ok(())
}

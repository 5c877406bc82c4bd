//! A migration added or changed rebuilds the crate: the migrations are compiled in, and sqlx checks queries against them.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}

//! Makes Cargo notice new migrations, which are embedded by a macro.

fn main() {
    println!("cargo::rerun-if-changed=sql/migrations");
}

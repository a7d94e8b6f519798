//! Makes the folder of the built web application when it is missing, so that cargo needs no Node: what is embedded is
//! then nothing, and `/` says how to build it.

use std::{env, fs, io, path::Path};

fn main() -> io::Result<()> {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?;
    let dist = Path::new(&manifest).join("../web/dist");
    fs::create_dir_all(&dist)?;
    println!("cargo::rerun-if-changed=../web/dist");
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}

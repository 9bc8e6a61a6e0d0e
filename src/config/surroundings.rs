//! The questions to the process's surroundings, so that no other module has to ask.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// The process's environment. Values that are not UTF-8 are kept with a replacement character, so
/// that they are reported as wrong rather than overlooked.
pub(crate) fn process_environment() -> Vec<(String, String)> {
    env::vars_os()
        .map(|(key, value)| {
            (key.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
        })
        .collect()
}

/// The protection that a build with faults is to do without.
#[cfg(feature = "faults")]
pub(crate) fn mutant() -> Option<String> {
    env::var("FAULTS_MUTANT").ok()
}

/// The name of this machine; `None` if that is not UTF-8.
#[cfg(unix)]
pub(crate) fn host_name() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

/// The name of this machine; unknown here.
#[cfg(not(unix))]
pub fn host_name() -> Option<String> {
    None
}

/// The folders in which the system looks for programs.
pub(crate) fn search_path() -> Vec<PathBuf> {
    env::var_os("PATH").iter().flat_map(env::split_paths).collect()
}

/// The system's folder for temporary files.
pub(crate) fn temporary_folder() -> PathBuf {
    env::temp_dir()
}

/// Those of these variables that are set, for a child whose environment is to hold nothing else.
pub(crate) fn inherited(names: &[&'static str]) -> Vec<(&'static str, OsString)> {
    names.iter().filter_map(|name| Some((*name, env::var_os(name)?))).collect()
}

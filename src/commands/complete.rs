//! What a shell completes.

use clap_complete::CompletionCandidate;

use crate::container;
use crate::paths::Places;

/// The names of all containers; none where they cannot be read.
pub fn containers() -> Vec<CompletionCandidate> {
    let containers = container::all(&Places::from_environment()).unwrap_or_default();
    let names = containers.iter().map(|container| container.name().as_str());
    names.map(CompletionCandidate::new).collect()
}

//! Credentials: reads their contents from their sources.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use runtime::{Credential, Secret};

use crate::config::{self, CredentialSource};

/// Longest credential, in bytes (`CREDENTIAL_SIZE_MAX` of systemd).
const LONGEST: u64 = 1 << 20;

/// Resolves the configured credentials; reads the files of those that are in files.
pub fn resolve(configured: &[config::Credential]) -> Result<Vec<Credential>> {
    let mut ids = BTreeSet::new();
    let mut credentials = Vec::new();
    for config::Credential { id, source } in configured {
        if !ids.insert(id) {
            bail!("credential '{id}' is given twice; remove one of the flags");
        }
        let contents = match source {
            CredentialSource::Value(value) => value.clone(),
            CredentialSource::File(path) => {
                read(path).with_context(|| format!("cannot load credential '{id}'"))?
            }
            CredentialSource::Own(name) => {
                let cannot = || format!("cannot load credential '{id}'");
                read(&inherited(name).with_context(cannot)?).with_context(cannot)?
            }
        };
        credentials.push(Credential {
            id: id.clone(),
            contents,
        });
    }
    Ok(credentials)
}

/// Path of a credential of the supervisor's unit (`man 5 systemd.exec`,
/// `$CREDENTIALS_DIRECTORY`).
fn inherited(name: &str) -> Result<PathBuf> {
    match std::env::var_os("CREDENTIALS_DIRECTORY") {
        Some(directory) => Ok(Path::new(&directory).join(name)),
        None => bail!(
            "'{name}' would be a credential of the supervisor, which has none; give an absolute \
             path"
        ),
    }
}

fn read(path: &Path) -> Result<Secret> {
    let cannot = || format!("cannot read {}", path.display());
    // Checked before it is opened: opening a FIFO would wait for a writer.
    let kind = std::fs::metadata(path).with_context(cannot)?;
    if !kind.is_file() {
        bail!("{} is not a regular file", path.display());
    }
    let mut contents = Vec::new();
    let file = File::open(path).with_context(cannot)?;
    let read = file.take(LONGEST + 1).read_to_end(&mut contents);
    if read.with_context(cannot)? as u64 > LONGEST {
        bail!("{} is longer than {LONGEST} bytes", path.display());
    }
    Ok(contents.into())
}

//! An attack by a program inside a container, as a row of a table.

use std::io::{self, Write};

use crate::canary::Canary;
use crate::inside;
use crate::weakened::Part;

/// An attack. It is tried as root inside.
pub struct Attack {
    /// Its name in the table.
    pub name: &'static str,
    /// The best-known case of its kind, or the interface that it abuses.
    pub class: &'static str,
    /// What it would get.
    pub aim: &'static str,
    /// The program. Its answer is the evidence: what only the host has, or how the
    /// kernel let it pass.
    pub attempt: fn(&Canary) -> io::Result<String>,
    /// What the evidence must be.
    pub proof: Proof,
    /// The parts of the runtime that stop it: without them it succeeds, with each of
    /// the others.
    pub stopped_by: &'static [Part],
    /// What happens in a container without users of its own. In one with users of
    /// its own, every attack is prevented.
    pub without_users: Without,
}

/// Evidence of a successful attack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The word that only the host has.
    Secret,
    /// The kernel's answer to a call that it refuses to a container.
    Answer,
}

/// What a container does without users of its own, where root is the host's root.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Without {
    /// It prevents the attack all the same.
    Prevented,
    /// It does not, and this is why: `SECURITY.md` calls it no boundary.
    Open(&'static str),
}

/// All attacks by programs inside.
pub fn attacks() -> impl Iterator<Item = &'static Attack> {
    inside::ATTACKS.iter().copied().flatten()
}

/// The attack of this name.
pub fn named(name: &str) -> &'static Attack {
    let found = attacks().find(|attack| attack.name == name);
    found.expect("the name of an attack")
}

/// What an attack came to, as a line of the attacker's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub name: String,
    /// The evidence, or the reason of the failure.
    pub answer: Result<String, String>,
}

impl Outcome {
    /// Reads the lines of an attacker's output.
    pub fn read(output: &str) -> Vec<Self> {
        let lines = output.lines().filter_map(|line| {
            let mut words = line.trim_end_matches('\r').splitn(3, '\t');
            let (name, verdict, what) = (words.next()?, words.next()?, words.next()?.to_owned());
            let answer = match verdict {
                "got" => Ok(what),
                "refused" => Err(what),
                _ => return None,
            };
            let name = name.to_owned();
            Some(Self { name, answer })
        });
        lines.collect()
    }

    /// Whether the attack succeeded, on a host whose secret is this.
    pub fn succeeded(&self, secret: &str) -> bool {
        match (&self.answer, named(&self.name).proof) {
            (Ok(evidence), Proof::Secret) => {
                assert!(evidence.contains(secret), "{self:?} is no evidence");
                true
            }
            (Ok(_), Proof::Answer) => true,
            (Err(_), _) => false,
        }
    }
}

/// Longer than an attack takes that is not stuck, in seconds.
const LONGEST: u32 = 20;

/// The attacker: attempts these attacks, or all, each in a process of its own, and
/// prints what they came to.
pub fn attack(names: &[&str]) -> i32 {
    let canary = match Canary::described() {
        Ok(canary) => canary,
        Err(cause) => {
            eprintln!("cannot read what the canary is: {cause}");
            return 1;
        }
    };
    for attack in attacks().filter(|attack| names.is_empty() || names.contains(&attack.name)) {
        // SAFETY: the process has one thread.
        match unsafe { libc::fork() } {
            0 => {
                // SAFETY: takes a number only.
                unsafe { libc::alarm(LONGEST) };
                let line = match (attack.attempt)(&canary) {
                    Ok(evidence) => format!("{}\tgot\t{}\n", attack.name, one_line(&evidence)),
                    Err(cause) => {
                        format!(
                            "{}\trefused\t{}\n",
                            attack.name,
                            one_line(&cause.to_string())
                        )
                    }
                };
                let _ = io::stdout().write_all(line.as_bytes());
                let _ = io::stdout().flush();
                // SAFETY: ends this copy, which owns nothing.
                unsafe { libc::_exit(0) }
            }
            child => {
                // SAFETY: waits for the child; its status is of no interest.
                unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
            }
        }
    }
    0
}

fn one_line(text: &str) -> String {
    text.replace(['\t', '\n', '\r'], " ")
}

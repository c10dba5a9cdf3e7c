//! A reference to a system in a flake.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A flake that a container's system is built from: `REFERENCE[#NAME]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlakeRef {
    reference: String,
    /// The name of its system in `nixosConfigurations`.
    name: String,
}

/// The default of nixpkgs' tool.
const DEFAULT_NAME: &str = "container";

impl FlakeRef {
    /// Makes a path that is relative to the working directory absolute, so that it
    /// means the same in every directory.
    ///
    /// # Errors
    ///
    /// The working directory cannot be read.
    pub fn absolute(self) -> std::io::Result<Self> {
        let (scheme, rest) = match self.reference.split_once(':') {
            Some((scheme @ ("path" | "git+file"), rest)) => (format!("{scheme}:"), rest),
            _ => (String::new(), self.reference.as_str()),
        };
        // Anything else without a scheme is a name in a registry.
        let relative = match scheme.as_str() {
            "" => rest.starts_with('.'),
            _ => !rest.starts_with('/'),
        };
        if !relative {
            return Ok(self);
        }
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, format!("?{query}")),
            None => (rest, String::new()),
        };
        // Nix leaves `..` in place, in lock files too.
        let path = std::fs::canonicalize(path).or_else(|_| std::path::absolute(path))?;
        Ok(Self {
            reference: format!("{scheme}{}{query}", path.display()),
            name: self.name,
        })
    }

    /// The reference, as Nix writes it (`man 1 nix3-flake`).
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// The path on the host that the reference names, if it names one.
    pub fn path(&self) -> Option<&Path> {
        let (reference, _) = self
            .reference
            .split_once('?')
            .unwrap_or((&self.reference, ""));
        let path = ["path:", "git+file:", "hg+file:", "tarball+file:", "file:"]
            .into_iter()
            .find_map(|scheme| reference.strip_prefix(scheme))
            .unwrap_or(reference);
        let path = path.strip_prefix("//").unwrap_or(path);
        path.starts_with('/').then(|| Path::new(path))
    }

    /// Whether Nix copies the path as it is, without a look for a repository.
    pub fn is_plain_path(&self) -> bool {
        self.reference.starts_with("path:")
    }

    /// The installable of the system's toplevel, for `nix build`.
    pub fn toplevel(&self) -> String {
        format!(
            "{}#nixosConfigurations.\"{}\".config.system.build.toplevel",
            self.reference, self.name
        )
    }
}

impl FromStr for FlakeRef {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (reference, name) = text.split_once('#').unwrap_or((text, ""));
        // Nix would read a dash as an option, and these characters as the end of a name.
        let strange = |c: char| c == '"' || c == '\\' || c.is_control();
        if text.starts_with('-') || text.contains(strange) {
            return Err("a flake, as ./mine, github:me/mine or ./mine#name");
        }
        let or =
            |text: &str, default: &str| if text.is_empty() { default } else { text }.to_owned();
        Ok(Self {
            reference: or(reference, "."),
            name: or(name, DEFAULT_NAME),
        })
    }
}

impl fmt::Display for FlakeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reference)?;
        if self.name != DEFAULT_NAME {
            write!(f, "#{}", self.name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flake(text: &str) -> FlakeRef {
        text.parse().expect("valid")
    }

    #[test]
    fn flake_without_a_name_means_its_container() {
        let toplevel = "#nixosConfigurations.\"container\".config.system.build.toplevel";
        assert_eq!(flake("/f").toplevel(), format!("/f{toplevel}"));
        assert_eq!(flake("/f#").toplevel(), format!("/f{toplevel}"));
        assert_eq!(flake("#").toplevel(), format!(".{toplevel}"));
        assert!(flake("/f#a.b").toplevel().contains(".\"a.b\"."));
        assert_eq!(flake("/f#container").to_string(), "/f");
        assert_eq!(flake("/f#web").to_string(), "/f#web");
        for bad in ["/f#a\"b", "--impure", "/f\n"] {
            assert!(bad.parse::<FlakeRef>().is_err(), "{bad}");
        }
    }

    #[test]
    fn path_is_that_of_a_flake_on_the_host() {
        for (text, path) in [
            ("/f?dir=x#web", Some("/f")),
            ("path:/f", Some("/f")),
            ("git+file:///f?ref=main", Some("/f")),
            ("github:me/mine", None),
            ("nixpkgs/main", None),
        ] {
            assert_eq!(flake(text).path(), path.map(Path::new), "{text}");
        }
    }

    #[test]
    fn absolute_changes_relative_paths_only() {
        let here = std::env::current_dir().expect("a directory");
        let here = here.display();
        let absolute = |text: &str| flake(text).absolute().expect("absolute").to_string();
        assert_eq!(absolute("."), format!("{here}"));
        assert_eq!(absolute("./src?dir=x#web"), format!("{here}/src?dir=x#web"));
        assert_eq!(absolute("path:./src"), format!("path:{here}/src"));
        assert_eq!(absolute("path:src"), format!("path:{here}/src"));
        assert_eq!(absolute("./none"), format!("{here}/none"));
        for same in ["/f", "nixpkgs", "nixpkgs/main", "github:a/b#c", "path:/f"] {
            assert_eq!(absolute(same), same);
        }
    }
}

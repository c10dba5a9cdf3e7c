//! Configuration files of a host's containers.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use super::{Host, minimal_system};

impl Host {
    /// The path of a container's configuration file on this host.
    pub fn conf_path(&self, name: &str) -> String {
        let path = self.place("CONF_DIR").join(format!("{name}.conf"));
        path.display().to_string()
    }

    /// What a container's configuration file says.
    pub fn conf(&self, name: &str) -> String {
        fs::read_to_string(self.conf_file(name)).expect("readable")
    }

    /// Writes a container's configuration file, the whole of it.
    pub fn write_conf(&self, name: &str, lines: &str) {
        let file = self.conf_file(name);
        fs::create_dir_all(file.parent().expect("a directory")).expect("writable");
        fs::write(file, format!("{lines}\n")).expect("writable");
    }

    /// Adds lines to a container's configuration file.
    pub fn append_conf(&self, name: &str, lines: &str) {
        let file = OpenOptions::new().append(true).open(self.conf_file(name));
        writeln!(file.expect("created before"), "{lines}").expect("writable");
    }

    /// Removes the lines of a container's configuration file that set a key.
    pub fn remove_from_conf(&self, name: &str, key: &str) {
        let conf = self.conf(name);
        let sets_it = |line: &&str| line.split('=').next() == Some(key);
        let kept: Vec<_> = conf.lines().filter(|line| !sets_it(line)).collect();
        self.write_conf(name, &kept.join("\n"));
    }

    /// A container with the minimal system and these lines of configuration
    /// alone, created if it is not there.
    pub fn configure(&self, name: &str, lines: &str) {
        let system = minimal_system();
        if !self.conf_file(name).exists() {
            self.run(&["create", name, "--system-path", system]);
        }
        self.write_conf(name, &format!("SYSTEM_PATH={system}\n{lines}"));
    }

    /// The same file as the test itself can open it.
    fn conf_file(&self, name: &str) -> PathBuf {
        self.file(&self.conf_path(name))
    }
}

//! Imports point one way: a folder of a crate imports only those below it, and no
//! two modules of a folder import each other, by whatever detour.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{ItemMod, ItemUse, UseTree};

/// The rooms of each crate, from the ground up. The crate's root file is above
/// all of them.
const CRATES: [(&str, &[&str]); 3] = [
    (
        "src",
        &[
            "report",
            "control",
            "config",
            "container",
            "nix",
            "systemd",
            "spec",
            "lifecycle",
            "supervisor",
            "cli",
        ],
    ),
    ("runtime/src", &["sys", "spec", "plan", "rootfs", "process"]),
    (
        "netns/src",
        &[
            "container_name",
            "name",
            "error",
            "files",
            "lock",
            "sysctl",
            "spoof_check",
            "link",
            "pool",
            "spec",
            "step",
            "plan",
            "firewall",
            "reclaim",
            "apply",
            "bridge_watch",
            "check",
        ],
    ),
];

/// The path of a module, without `crate`.
type Module = Vec<String>;

/// One import: the module that has it, and the path it names.
#[derive(Debug)]
struct Import {
    from: Module,
    path: Module,
}

#[test]
fn rooms_import_only_rooms_below_them() {
    let mut wrong = Vec::new();
    for (source, rooms) in CRATES {
        let level = |module: &[String]| {
            let room = module.first()?;
            rooms.iter().position(|name| name == room)
        };
        for import in imports(Path::new(source)) {
            let (Some(from), Some(to)) = (level(&import.from), level(&import.path)) else {
                continue;
            };
            if to > from {
                wrong.push(format!(
                    "{source}: {} imports {}, but {} is above {}",
                    import.from.join("::"),
                    import.path.join("::"),
                    rooms[to],
                    rooms[from],
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_room_has_its_level() {
    for (source, rooms) in CRATES {
        let found: BTreeSet<_> = modules(Path::new(source))
            .into_iter()
            .filter_map(|(module, _)| module.into_iter().next())
            .collect();
        let listed: BTreeSet<_> = rooms.iter().map(|room| (*room).to_owned()).collect();
        assert_eq!(found, listed, "{source}");
    }
}

#[test]
fn modules_of_a_folder_do_not_import_each_other_in_a_circle() {
    let mut wrong = Vec::new();
    for (source, _) in CRATES {
        let all: BTreeSet<Module> = modules(Path::new(source))
            .into_iter()
            .map(|(module, _)| module)
            .collect();
        // For each folder, which of its modules imports which other one.
        let mut folders: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for Import { from, path } in imports(Path::new(source)) {
            let shared = from.iter().zip(&path).take_while(|(a, b)| a == b).count();
            let (Some(one), Some(other)) = (from.get(shared), path.get(shared)) else {
                continue;
            };
            if all.contains(&path[..=shared]) {
                let folder = folders.entry(from[..shared].to_vec()).or_default();
                folder.entry(one.clone()).or_default().insert(other.clone());
            }
        }
        for (folder, imports) in folders {
            for start in imports.keys() {
                if reachable(&imports, start).contains(start) {
                    wrong.push(format!("{source}: {}::{start}", folder.join("::")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "in circles of imports: {wrong:#?}");
}

/// `docs/ARCHITECTURE.md` names files, and functions as `file:function`.
#[test]
fn architecture_document_names_what_is_there() {
    let document = fs::read_to_string("docs/ARCHITECTURE.md").expect("readable");
    let mut functions = 0;
    // Names stand in backticks; drawings and blocks of code between three of them.
    let prose = document.split("```").step_by(2);
    for name in prose.flat_map(|text| text.split('`').skip(1).step_by(2)) {
        let (file, function) = name.split_once(':').unwrap_or((name, ""));
        let is_path = file.contains('/') && !file.contains("://");
        if !is_path && !file.ends_with(".rs") {
            continue;
        }
        let known = CRATES
            .iter()
            .map(|(source, _)| Path::new(source).join(file));
        let mut known = known.chain([file.into()]);
        let path = known.find(|path| path.exists());
        let path = path.unwrap_or_else(|| panic!("{name}: there is no such file"));
        if !function.is_empty() {
            let text = fs::read_to_string(&path).expect("readable");
            let is_defined = text.contains(&format!("fn {function}("))
                || text.contains(&format!("fn {function}<"));
            assert!(is_defined, "{name}: there is no such function");
            functions += 1;
        }
    }
    assert!(functions > 15, "{functions}");
}

fn reachable(imports: &BTreeMap<String, BTreeSet<String>>, start: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut next = vec![start.to_owned()];
    while let Some(module) = next.pop() {
        for other in imports.get(&module).into_iter().flatten() {
            if reached.insert(other.clone()) {
                next.push(other.clone());
            }
        }
    }
    reached
}

/// All modules of a crate but its root, with their files.
fn modules(source: &Path) -> Vec<(Module, std::path::PathBuf)> {
    let mut found = Vec::new();
    let mut directories = vec![source.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of sources") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let module = path
                .strip_prefix(source)
                .expect("below it")
                .with_extension("");
            let is_root = ["main", "lib"].iter().any(|root| module == Path::new(root));
            if path.extension().is_some_and(|extension| extension == "rs") && !is_root {
                let names = module
                    .iter()
                    .map(|name| name.to_string_lossy().into_owned());
                found.push((names.collect(), path));
            }
        }
    }
    assert!(!found.is_empty(), "{}", source.display());
    found
}

fn imports(source: &Path) -> Vec<Import> {
    let modules = modules(source);
    let mut imports = Vec::new();
    for (module, file) in modules {
        let text = fs::read_to_string(&file).expect("readable");
        let syntax = syn::parse_file(&text).expect("it compiles");
        let mut paths = Paths::default();
        paths.visit_file(&syntax);
        imports.extend(paths.0.into_iter().filter_map(|path| {
            Some(Import {
                path: resolve(&module, path)?,
                from: module.clone(),
            })
        }));
    }
    imports
}

/// The paths that a file names, outside of its tests.
#[derive(Default)]
struct Paths(Vec<Vec<String>>);

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        // Tests may reach for whatever they need.
        if module.ident != "tests" {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        flatten(&item.tree, &mut Vec::new(), &mut self.0);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string());
        self.0.push(names.collect());
        visit::visit_path(self, path);
    }
}

fn flatten(tree: &UseTree, prefix: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, paths);
            prefix.pop();
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, prefix, paths);
            }
        }
        UseTree::Name(name) => paths.push(with(prefix, &name.ident)),
        UseTree::Rename(rename) => paths.push(with(prefix, &rename.ident)),
        UseTree::Glob(_) => paths.push(prefix.clone()),
    }
}

fn with(prefix: &[String], name: &syn::Ident) -> Vec<String> {
    let name = (name != "self").then(|| name.to_string());
    prefix.iter().cloned().chain(name).collect()
}

/// A path of the crate as seen from its root; `None` for those of other crates and
/// of what is in scope.
fn resolve(module: &[String], path: Vec<String>) -> Option<Module> {
    let supers = path.iter().take_while(|name| *name == "super").count();
    let base = match path.first()?.as_str() {
        "crate" => return Some(path[1..].to_vec()),
        "super" => module.len().checked_sub(supers)?,
        _ => return None,
    };
    Some([&module[..base], &path[supers..]].concat())
}

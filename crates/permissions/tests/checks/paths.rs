//! A file system with links in it, and what must hold of every path there. The fuzz target has it too.

use domain::{Opinion, SessionId, UserId, Verdict};
use permissions::{PathPolicy, PathSettings, Policy, Surroundings, ToolCall};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

pub struct World {
    pub root: PathBuf,
    policy: PathPolicy,
    pub surroundings: Surroundings,
    _dir: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let at = |path: &str| root.join(path);
        for folder in [
            "home/.ssh",
            "home/.aws",
            "data/agents/me/projects/p/memory",
            "data/agents/other/projects/p",
            "data/workspaces/u/me/src",
            "data/workspaces/u/me/certs",
            "data/workspaces/u/me/lib",
            "data/workspaces/u/other",
            "data/tmp/me",
            "data/tmp/other",
            "shared/added",
            "outside",
        ] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for file in [
            "home/.ssh/id_rsa",
            "home/.aws/credentials",
            "home/.aws/config",
            "home/notes.txt",
            "data/steward.db",
            "data/workspaces/u/me/src/main.rs",
            "data/workspaces/u/me/certs/server.pem",
            "data/workspaces/u/me/lib/a.o",
            "outside/file",
        ] {
            fs::write(at(file), file).unwrap();
        }
        let here = at("data/workspaces/u/me");
        for (target, link) in [
            ("/etc/passwd".into(), "link_passwd"),
            (at("home/.ssh"), "link_ssh"),
            ("link_ssh".into(), "chain"),
            (at("outside"), "link_out"),
            (at("outside/new"), "link_new"),
            ("src".into(), "link_in"),
            ("loop".into(), "loop"),
            (at("outside/file"), "lib/out.o"),
        ] {
            symlink(target, here.join(link)).unwrap();
        }
        fs::hard_link(at("home/.ssh/id_rsa"), here.join("hard")).unwrap();
        let restricted = ["/etc/passwd", "/etc/shadow", "~/.ssh", "~/.aws/credentials", "**/*.pem"];
        let settings = PathSettings {
            restricted: restricted.iter().map(|path| path.parse().unwrap()).collect(),
            user_home: Some(at("home")),
            writable: vec![],
            hidden: vec![at("data")],
        };
        let surroundings = Surroundings {
            session_id: SessionId::new(),
            user_id: UserId::new(),
            generation: domain::Generation::FIRST,
            working_directory: here,
            add_dirs: vec![at("shared/added")],
            home: at("data/agents/me"),
            temporary: at("data/tmp/me"),
        };
        Self { root, policy: PathPolicy::new(settings), surroundings, _dir: dir }
    }

    pub fn put_in(&self, text: &str) -> String {
        let path = |path: &Path| path.display().to_string();
        text.replace("{w}", &path(&self.surroundings.working_directory))
            .replace("{d}", &path(&self.surroundings.add_dirs[0]))
            .replace("{t}", &path(&self.surroundings.temporary))
            .replace("{h}", &path(&self.surroundings.home))
            .replace("{u}", &path(&self.root.join("home")))
            .replace("{s}", &path(&self.root.join("data")))
            .replace("{r}", &path(&self.root))
    }

    pub async fn judge(&self, tool: &str, input: Value) -> Opinion {
        let call = ToolCall {
            tool_name: tool.to_owned(),
            input,
            tool_use_id: None,
            agent_id: None,
            cwd: self.surroundings.working_directory.clone(),
            permission_mode: None,
        };
        self.policy
            .judge(&call, &self.surroundings)
            .await
            .unwrap_or_else(|error| Opinion::new(Verdict::Deny, "paths", "cannot_judge", error.to_string()))
    }
}

pub fn input(tool: &str, text: &str) -> Value {
    match tool {
        "Bash" => json!({ "command": text }),
        "Read" | "Write" | "Edit" => json!({ "file_path": text }),
        "NotebookEdit" => json!({ "notebook_path": text }),
        "LS" => json!({ "path": text }),
        "Grep" => json!({ "pattern": "x", "path": text }),
        "Glob" => json!({ "pattern": text }),
        _ => json!({ "some": { "argument": [text] } }),
    }
}

/// A way to a restricted file is denied, whatever links and dots it takes; and what may be written is inside according
/// to the kernel.
pub async fn check(world: &World, path: &str) {
    let here = &world.surroundings.working_directory;
    let read = world.judge("Read", input("Read", path)).await.verdict;
    let written = world.judge("Write", input("Write", path)).await.verdict;
    // The kernel would take these for this process's own.
    let is_ours = path.contains("proc")
        && path.split('/').any(|part| matches!(part, "cwd" | "fd" | "exe" | "ns" | "map_files"));
    if is_ours || path.contains('\0') || path.starts_with('~') {
        return;
    }
    let Ok(real) = here.join(path).canonicalize() else { return };
    let restricted = [PathBuf::from("/etc/passwd"), world.root.join("home/.ssh"), here.join("hard")];
    let is_restricted = restricted.iter().any(|path| real.starts_with(path));
    assert!(!is_restricted || read == Verdict::Deny, "{path} is read");
    let devices = ["/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/random", "/dev/urandom"];
    let may = [here, &world.surroundings.add_dirs[0], &world.surroundings.temporary];
    let is_inside =
        may.iter().any(|dir| real.starts_with(dir)) || devices.iter().any(|one| real == Path::new(one));
    assert!(is_inside || written == Verdict::Deny, "{path} is written");
}

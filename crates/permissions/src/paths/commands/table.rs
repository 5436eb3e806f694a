//! Which arguments of well-known programs are files, and what becomes of these.
//!
//! What is not in here is not waved through: every word of every command is looked at as the name of a restricted path.

/// What the operands of a program are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operands {
    /// Files that it reads.
    Read,
    /// Files that it writes, makes or changes.
    Write,
    /// Files that it removes: a link goes, and not what it leads to.
    Remove,
    /// The last is written, the others are read.
    Copy,
    /// The last is written, the others are gone.
    Move,
    /// A link, and what it leads to.
    Link,
    /// The first is read, the second written.
    Filter,
    /// The first is written, the others are read.
    Collect,
    /// No files.
    Other,
}

/// A program's arguments.
#[derive(Debug, Clone, Copy)]
pub(super) struct Program {
    pub names: &'static [&'static str],
    pub operands: Operands,
    /// So many operands come before the files.
    pub skip: usize,
    /// Options that stand for what would be skipped.
    pub instead: &'static [&'static str],
    /// Options with a value that is no file.
    pub values: &'static [&'static str],
    /// Options whose value is read.
    pub reads: &'static [&'static str],
    /// Options whose value is written.
    pub writes: &'static [&'static str],
    /// Options with which operands are written.
    pub in_place: &'static [&'static str],
    /// Options with which operands are read after all.
    pub to_output: &'static [&'static str],
    /// Options with which an operand is meant with all that is below it.
    pub trees: &'static [&'static str],
    /// It always is.
    pub is_tree: bool,
}

/// A program of which nothing is known.
pub(super) const NOTHING: Program = Program {
    names: &[],
    operands: Operands::Other,
    skip: 0,
    instead: &[],
    values: &[],
    reads: &[],
    writes: &[],
    in_place: &[],
    to_output: &[],
    trees: &[],
    is_tree: false,
};

const READ: Program = Program { operands: Operands::Read, ..NOTHING };
const WRITE: Program = Program { operands: Operands::Write, ..NOTHING };

/// Options of copying programs.
const RECURSIVE: &[&str] = &["-r", "-R", "-a", "--recursive", "--archive"];
const TARGET: &[&str] = &["-t", "--target-directory"];

const PROGRAMS: &[Program] = &[
    Program {
        names: &[
            "cat",
            "tac",
            "bat",
            "batcat",
            "nl",
            "less",
            "more",
            "most",
            "od",
            "hexdump",
            "hd",
            "strings",
            "rev",
            "wc",
            "cut",
            "paste",
            "join",
            "comm",
            "diff",
            "diff3",
            "sdiff",
            "cmp",
            "colordiff",
            "head",
            "tail",
            "cksum",
            "sum",
            "md5sum",
            "sha1sum",
            "sha224sum",
            "sha256sum",
            "sha384sum",
            "sha512sum",
            "b2sum",
            "base64",
            "base32",
            "basenc",
            "fold",
            "fmt",
            "expand",
            "unexpand",
            "iconv",
            "zcat",
            "bzcat",
            "xzcat",
            "zstdcat",
            "zless",
            "file",
            "stat",
            "ls",
            "dir",
            "vdir",
            "exa",
            "eza",
            "tree",
            "du",
            "source",
            ".",
            "readelf",
            "objdump",
            "nm",
            "ldd",
            "envsubst",
            "pr",
            "column",
            "tsort",
            "look",
            "csvcut",
            "xmllint",
            "bash",
            "sh",
            "dash",
            "zsh",
            "ksh",
            "python",
            "python3",
            "node",
            "ruby",
            "perl",
            "php",
            "pdftotext",
            "exiftool",
            "getfacl",
            "lsattr",
            "mail",
            "lp",
            "lpr",
            "nc",
            "ncat",
            "crontab",
        ],
        values: &["-n", "-c", "-d", "-f", "-b", "-w", "-e", "-E", "-m", "-C"],
        in_place: &["-pi", "-i"],
        ..READ
    },
    Program {
        names: &["grep", "egrep", "fgrep", "zgrep", "pcregrep"],
        skip: 1,
        instead: &["-e", "--regexp", "-f", "--file"],
        reads: &["-f", "--file", "--exclude-from"],
        values: &["-A", "-B", "-C", "-m", "--include", "--exclude", "--exclude-dir", "-d", "-D"],
        trees: &["-r", "-R", "--recursive", "--dereference-recursive"],
        ..READ
    },
    Program {
        names: &["rg", "ag", "ack"],
        skip: 1,
        instead: &["-e", "--regexp", "-f", "--file", "--files"],
        reads: &["-f", "--file", "--ignore-file"],
        values: &["-A", "-B", "-C", "-m", "-g", "--glob", "-t", "--type", "-T", "--type-not", "-j", "-M"],
        is_tree: true,
        ..READ
    },
    Program {
        names: &["sed", "gsed"],
        skip: 1,
        instead: &["-e", "--expression", "-f", "--file"],
        reads: &["-f", "--file"],
        in_place: &["-i", "--in-place"],
        ..READ
    },
    Program {
        names: &["awk", "gawk", "mawk", "nawk"],
        skip: 1,
        instead: &["-f", "--file"],
        reads: &["-f", "--file", "-i", "--include"],
        values: &["-F", "-v"],
        ..READ
    },
    Program {
        names: &["jq", "yq", "gojq"],
        skip: 1,
        instead: &["-f", "--from-file"],
        reads: &["-f", "--from-file"],
        in_place: &["--inplace"],
        ..READ
    },
    Program {
        names: &["sort"],
        writes: &["-o", "--output"],
        values: &["-k", "-t", "-S"],
        reads: &["--files0-from"],
        ..READ
    },
    Program {
        names: &["uniq", "xxd"],
        operands: Operands::Filter,
        values: &["-f", "-s", "-w", "-l", "-c", "-g"],
        ..NOTHING
    },
    Program { names: &["cp", "gcp"], operands: Operands::Copy, trees: RECURSIVE, writes: TARGET, ..NOTHING },
    Program {
        names: &["install", "ginstall"],
        operands: Operands::Copy,
        values: &["-m", "-o", "-g", "--mode", "--owner", "--group"],
        writes: TARGET,
        ..NOTHING
    },
    Program {
        names: &["rsync", "scp", "sftp"],
        operands: Operands::Copy,
        is_tree: true,
        values: &["-e", "--rsh", "--exclude", "--include", "-P", "-o", "-p", "-l"],
        reads: &["-i", "-F", "--files-from", "--exclude-from", "--include-from", "--password-file"],
        writes: &["--log-file", "--backup-dir", "--partial-dir", "--temp-dir"],
        ..NOTHING
    },
    Program { names: &["mv", "gmv"], operands: Operands::Move, writes: TARGET, ..NOTHING },
    Program { names: &["ln", "gln"], operands: Operands::Link, writes: TARGET, ..NOTHING },
    Program {
        names: &["rm", "rmdir", "unlink", "shred", "grm", "trash", "srm"],
        operands: Operands::Remove,
        trees: &["-r", "-R", "--recursive"],
        ..NOTHING
    },
    Program {
        names: &[
            "touch",
            "mkdir",
            "tee",
            "sponge",
            "mkfifo",
            "dos2unix",
            "unix2dos",
            "fallocate",
            "vi",
            "vim",
            "nvim",
            "nano",
            "pico",
            "emacs",
            "ed",
            "ex",
            "ftruncate",
            "sqlite3",
            "mkdirp",
        ],
        reads: &["-r", "--reference"],
        values: &["-m", "--mode", "-d", "--date", "-t", "-l", "-o"],
        ..WRITE
    },
    Program { names: &["truncate"], values: &["-s", "--size"], reads: &["-r", "--reference"], ..WRITE },
    Program { names: &["mknod"], ..WRITE },
    Program {
        names: &["chmod", "chown", "chgrp", "chattr", "chcon"],
        skip: 1,
        instead: &["--reference"],
        reads: &["--reference"],
        trees: &["-R", "--recursive"],
        ..WRITE
    },
    Program { names: &["setfacl"], values: &["-m", "-x", "--modify", "--remove"], trees: &["-R"], ..WRITE },
    Program {
        names: &[
            "gzip",
            "gunzip",
            "bzip2",
            "bunzip2",
            "xz",
            "unxz",
            "zstd",
            "unzstd",
            "lz4",
            "compress",
            "uncompress",
        ],
        to_output: &["-c", "--stdout", "--to-stdout", "-l", "--list", "-t", "--test"],
        writes: &["-o"],
        ..WRITE
    },
    Program { names: &["zip", "ar", "7z", "7za"], operands: Operands::Collect, is_tree: true, ..NOTHING },
    Program { names: &["unzip", "unrar", "7zr"], writes: &["-d"], ..READ },
    Program {
        names: &["split", "csplit"],
        operands: Operands::Filter,
        values: &["-l", "-b", "-n", "-a", "-C"],
        ..NOTHING
    },
    Program {
        names: &["patch"],
        reads: &["-i", "--input"],
        writes: &["-o", "--output", "-d", "--directory", "-r", "--reject-file"],
        values: &["-p", "--strip"],
        ..WRITE
    },
    Program { names: &["mktemp"], writes: &["-p", "--tmpdir"], ..WRITE },
    Program {
        names: &["curl"],
        writes: &[
            "-o",
            "--output",
            "--output-dir",
            "-D",
            "--dump-header",
            "-c",
            "--cookie-jar",
            "--trace",
            "--trace-ascii",
            "--stderr",
            "--libcurl",
            "--etag-save",
        ],
        reads: &[
            "-T",
            "--upload-file",
            "-K",
            "--config",
            "-E",
            "--cert",
            "--key",
            "--cacert",
            "-b",
            "--cookie",
            "--netrc-file",
            "--etag-compare",
        ],
        ..NOTHING
    },
    Program {
        names: &["wget"],
        writes: &[
            "-O",
            "--output-document",
            "-P",
            "--directory-prefix",
            "-o",
            "--output-file",
            "-a",
            "--append-output",
            "--save-cookies",
        ],
        reads: &[
            "-i",
            "--input-file",
            "--post-file",
            "--body-file",
            "--certificate",
            "--private-key",
            "--load-cookies",
            "--config",
            "--ca-certificate",
        ],
        ..NOTHING
    },
    Program {
        names: &["openssl", "gpg", "age"],
        writes: &["-out", "-keyout", "-o", "--output", "-writerand"],
        reads: &[
            "-in",
            "-inkey",
            "-key",
            "-CA",
            "-CAkey",
            "-CAfile",
            "-config",
            "-i",
            "--identity",
            "--import",
        ],
        ..NOTHING
    },
    Program {
        names: &["ssh", "ssh-add", "ssh-copy-id", "mosh"],
        reads: &["-i", "-F", "-E", "-S"],
        ..NOTHING
    },
    Program { names: &["ssh-keygen"], writes: &["-f"], ..NOTHING },
    Program {
        names: &[
            "gcc", "cc", "clang", "g++", "c++", "clang++", "ld", "rustc", "as", "tsc", "esbuild", "pandoc",
            "protoc",
        ],
        writes: &["-o", "--output", "--out-dir", "--outdir", "--outDir", "--outfile"],
        ..READ
    },
    Program { names: &["go"], writes: &["-o"], ..NOTHING },
    Program {
        names: &["cmake"],
        writes: &["-B", "--install", "--build"],
        reads: &["-S", "-P", "-C"],
        ..NOTHING
    },
    Program {
        names: &["cargo"],
        writes: &["--target-dir", "--out-dir", "--root"],
        reads: &["--manifest-path"],
        ..NOTHING
    },
    Program {
        names: &["pip", "pip3", "uv"],
        writes: &["-t", "--target", "--prefix", "--root"],
        reads: &["-r"],
        ..NOTHING
    },
    Program { names: &["npm", "pnpm", "yarn"], writes: &["--prefix", "--cwd", "-C", "--dir"], ..NOTHING },
    Program {
        names: &["make", "gmake", "ninja"],
        reads: &["-f", "--file", "--makefile"],
        writes: &["-C", "--directory"],
        ..NOTHING
    },
];

/// What is known of the program of that name.
pub(super) fn program(name: &str) -> &'static Program {
    PROGRAMS.iter().find(|program| program.names.contains(&name)).unwrap_or(&NOTHING)
}

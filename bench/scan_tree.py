"""Builds the tree and the image that the scan benchmarks and the acceptance tests look at, from registry packages.

Every input is an old release with known flaws, named with its version, so that two runs hold the same components. Nothing that is downloaded
is run: wheels are unpacked, npm installs without scripts, jars are copied, the Go and the Rust program are compiled and never started.

    python bench/scan_tree.py OUT            OUT/gt (tree), OUT/root (Debian bookworm, minbase), OUT/layout (OCI image of both), OUT/image.tar
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

WHEELS: Final = [
    "Django==3.2.0",
    "requests==2.19.0",
    "Jinja2==2.10",
    "urllib3==1.24.1",
    "Flask==0.12",
    "certifi==2020.4.5.1",
    "sqlparse==0.2.4",
    "Werkzeug==0.15.0",
    "paramiko==2.0.0",
    "Pillow==9.3.0",
    "cryptography==3.3.2",
    "PyJWT==1.7.1",
    "lxml==4.9.1",
    "numpy==1.23.2",
    "setuptools==65.0.0",
    "gunicorn==19.9.0",
    "httpx==0.22.0",
    "bottle==0.12.18",
]
NPM: Final = [
    "lodash@4.17.15",
    "minimist@1.2.0",
    "express@4.15.2",
    "axios@0.18.0",
    "jsonwebtoken@8.1.0",
    "handlebars@4.0.11",
    "node-fetch@2.6.0",
    "moment@2.18.1",
    "tar@4.4.1",
    "ws@6.0.0",
    "serialize-javascript@1.7.0",
    "marked@0.3.6",
    "ejs@2.7.4",
    "ua-parser-js@0.7.20",
]
JARS: Final = (
    "org.apache.logging.log4j:log4j-core:2.14.1",
    "org.apache.struts:struts2-core:2.3.31",
    "com.alibaba:fastjson:1.2.60",
    "org.yaml:snakeyaml:1.26",
    "commons-collections:commons-collections:3.2.1",
    "com.h2database:h2:1.4.200",
    "org.apache.shiro:shiro-core:1.4.0",
    "org.springframework:spring-beans:5.3.17",
)
GO_MOD: Final = """module example.com/gt

go 1.13

require (
	github.com/dgrijalva/jwt-go v3.2.0+incompatible
	github.com/gin-gonic/gin v1.6.2
	golang.org/x/text v0.3.5
	gopkg.in/yaml.v2 v2.2.8
)
"""
GO_MAIN: Final = """package main

import (
	"fmt"

	"github.com/dgrijalva/jwt-go"
	"github.com/gin-gonic/gin"
	"golang.org/x/text/language"
	"gopkg.in/yaml.v2"
)

func main() {
	tag, _ := language.Parse("en")
	out, _ := yaml.Marshal(map[string]string{"tag": tag.String()})
	token := jwt.New(jwt.SigningMethodHS256)
	r := gin.Default()
	r.GET("/", func(c *gin.Context) { c.String(200, fmt.Sprint(string(out), token.Valid)) })
}
"""
CARGO_TOML: Final = """[package]
name = "gt"
version = "0.1.0"
edition = "2018"

[dependencies]
time = "=0.1.43"
smallvec = "=1.6.0"
regex = "=1.5.4"
"""
RUST_MAIN: Final = """fn main() {
    let expression = regex::Regex::new(&std::env::args().next().unwrap()).unwrap();
    let mut numbers: smallvec::SmallVec<[u8; 4]> = smallvec::SmallVec::new();
    numbers.push(expression.is_match("x") as u8);
    println!("{} {:?}", time::now().tm_year, numbers);
}
"""


def run(*command: str, cwd: Path | None = None, **environment: str) -> None:
    """Run ``command``; its output only when it fails."""
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")


def python_part(tree: Path) -> None:
    """The wheels, and a requirements.txt that names them."""
    target = tree / "opt/app/site-packages"
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-compile",
        "--only-binary",
        ":all:",
        "--python-version",
        "3.11",
        "--target",
        str(target),
        *WHEELS,
    )
    (tree / "opt/app/requirements.txt").write_text("\n".join(WHEELS) + "\n")


def npm_part(tree: Path) -> None:
    """The npm tree with its lock file, installed without scripts."""
    target = tree / "opt/web"
    target.mkdir(parents=True, exist_ok=True)
    (target / "package.json").write_text('{"name": "gt-web", "version": "1.0.0", "private": true}\n')
    run("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--save-exact", *NPM, cwd=target)


def java_part(tree: Path, work: Path) -> None:
    """Jars as people ship them: in a war in an ear, in a boot jar, merged, renamed, and plain."""
    jars = work / "jars"
    jars.mkdir(parents=True, exist_ok=True)
    for artifact in JARS:
        if not (jars / f"{artifact.split(':')[1]}-{artifact.split(':')[2]}.jar").exists():
            run("mvn", "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={jars}", cwd=work)
    target = tree / "srv/java"
    target.mkdir(parents=True, exist_ok=True)

    def jar(stem: str) -> Path:
        return next(jars.glob(f"{stem}-[0-9]*.jar"))

    with zipfile.ZipFile(target / "app.war", "w", zipfile.ZIP_DEFLATED) as war:
        war.write(jar("log4j-core"), f"WEB-INF/lib/{jar('log4j-core').name}")
        war.write(jar("struts2-core"), f"WEB-INF/lib/{jar('struts2-core').name}")
    with zipfile.ZipFile(target / "big.ear", "w", zipfile.ZIP_DEFLATED) as ear:
        ear.write(target / "app.war", "app.war")
    with zipfile.ZipFile(target / "boot.jar", "w", zipfile.ZIP_STORED) as boot:
        boot.writestr(
            "META-INF/MANIFEST.MF",
            "Manifest-Version: 1.0\r\nMain-Class: org.springframework.boot.loader.JarLauncher\r\n\r\n",
        )
        boot.write(jar("fastjson"), f"BOOT-INF/lib/{jar('fastjson').name}")
        boot.write(jar("snakeyaml"), f"BOOT-INF/lib/{jar('snakeyaml').name}")
    with zipfile.ZipFile(target / "shaded.jar", "w", zipfile.ZIP_DEFLATED) as shaded:
        seen: set[str] = set()
        for stem in ("log4j-core", "commons-collections"):
            with zipfile.ZipFile(jar(stem)) as part:
                for name in part.namelist():
                    if name not in seen and not name.endswith("/") and name != "META-INF/MANIFEST.MF":
                        seen.add(name)
                        shaded.writestr(name, part.read(name))
    shutil.copy(jar("h2"), target / "renamed.jar")
    shutil.copy(jar("shiro-core"), target)
    shutil.copy(jar("spring-beans"), target)


def go_part(tree: Path, work: Path) -> None:
    """A Go program, and its go.mod and go.sum beside it."""
    source = work / "go"
    source.mkdir(parents=True, exist_ok=True)
    (source / "go.mod").write_text(GO_MOD)
    (source / "main.go").write_text(GO_MAIN)
    run("go", "mod", "tidy", cwd=source, GOFLAGS="-mod=mod", GOTOOLCHAIN="local")
    (tree / "usr/local/bin").mkdir(parents=True, exist_ok=True)
    run("go", "build", "-o", str(tree / "usr/local/bin/goapp"), ".", cwd=source, CGO_ENABLED="0", GOTOOLCHAIN="local")
    (tree / "srv/go").mkdir(parents=True, exist_ok=True)
    for name in ("go.mod", "go.sum"):
        shutil.copy(source / name, tree / "srv/go")


def rust_part(tree: Path, work: Path) -> None:
    """A stripped Rust program, and its Cargo.lock beside it."""
    source = work / "rust"
    (source / "src").mkdir(parents=True, exist_ok=True)
    (source / "Cargo.toml").write_text(CARGO_TOML)
    (source / "src/main.rs").write_text(RUST_MAIN)
    run("cargo", "build", "-q", "--release", cwd=source)
    shutil.copy(source / "target/release/gt", tree / "usr/local/bin/rustapp")
    run("strip", str(tree / "usr/local/bin/rustapp"))
    (tree / "srv/rust").mkdir(parents=True, exist_ok=True)
    shutil.copy(source / "Cargo.lock", tree / "srv/rust")


def build(out: Path) -> None:
    """Make what is missing below ``out``; a part that is there already is kept."""
    out.mkdir(parents=True, exist_ok=True)
    work, tree, root, layout = out / "work", out / "gt", out / "root", out / "layout"
    work.mkdir(exist_ok=True)
    if not (out / "tree.done").exists():
        shutil.rmtree(tree, ignore_errors=True)
        tree.mkdir()
        for part in (python_part, npm_part):
            part(tree)
        for step in (java_part, go_part, rust_part):
            step(tree, work)
        (out / "tree.done").touch()
    if not (out / "root.done").exists():
        shutil.rmtree(root, ignore_errors=True)
        run("debootstrap", "--variant=minbase", "bookworm", str(root))
        shutil.rmtree(root / "var/cache/apt", ignore_errors=True)
        shutil.rmtree(root / "dev", ignore_errors=True)
        (out / "root.done").touch()
    if not (out / "image.done").exists():
        shutil.rmtree(layout, ignore_errors=True)
        run("umoci", "init", "--layout", str(layout))
        run("umoci", "new", "--image", f"{layout}:gt")
        run("umoci", "insert", "--image", f"{layout}:gt", str(root), "/")
        run("umoci", "insert", "--image", f"{layout}:gt", str(tree), "/")
        run("umoci", "gc", "--layout", str(layout))
        (out / "image.tar").unlink(missing_ok=True)
        run("skopeo", "copy", "-q", f"oci:{layout}:gt", f"docker-archive:{out / 'image.tar'}:gt:1")
        (out / "image.done").touch()


if __name__ == "__main__":
    build(Path(sys.argv[1]).absolute())

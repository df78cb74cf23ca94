package server

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// oldest is the oldest PostgreSQL that the schema and the tests work with.
const oldest = 15

// ErrNotInstalled says what to install.
var ErrNotInstalled = errors.New("no PostgreSQL 15 or newer found: install it (Debian, Ubuntu: apt-get install postgresql; " +
	"Fedora: dnf install postgresql-server; macOS: brew install postgresql@17) or set DATABASE_URL")

var majorVersion = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// Binaries gives the folder of the newest installed server.
func Binaries(ctx context.Context) (string, error) {
	candidates := []string{}
	if found, err := exec.LookPath("initdb"); err == nil {
		candidates = append(candidates, filepath.Dir(found))
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin",
		"/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin",
	} {
		matches, err := filepath.Glob(pattern)
		if err == nil {
			candidates = append(candidates, matches...)
		}
	}
	best, newest := "", oldest-1
	for _, dir := range candidates {
		said, err := exec.CommandContext(ctx, filepath.Join(dir, "initdb"), "--version").Output()
		match := majorVersion.FindSubmatch(said)
		if err != nil || match == nil {
			continue
		}
		if major, err := strconv.Atoi(string(match[1])); err == nil && major > newest {
			best, newest = dir, major
		}
	}
	if best == "" {
		return "", ErrNotInstalled
	}
	return best, nil
}

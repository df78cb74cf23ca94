// Package configfile reads the files that configure the process: secrets with
// one value each, and YAML files that may be swapped while the process runs.
//
// It is for reading, strict decoding and telling where a mistake is. It is not
// for knowing what the files mean: each domain owns its format and its rules.
// Invariant: a reader sees a whole valid snapshot or an error with file and
// line, never a part of a file and never a silently ignored key.
package configfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/kas-fleet/kas-fleet-manager/internal/log"
)

// Fallback is the content that stands in for a file nobody provided. It counts
// only at its own path: a path that an operator chose must exist, or a typing
// mistake would silently run with the defaults.
type Fallback struct {
	Path    string
	Content []byte
}

// embeddedPrefix marks the name of built-in content in errors and logs.
const embeddedPrefix = "embedded:"

// Path gives the path as the file system takes it: deployments may hand over
// quoted paths. Relative paths count from the working directory.
func Path(path string) string {
	path = strings.TrimSpace(path)
	if plain, err := strconv.Unquote(path); err == nil {
		return plain
	}
	if len(path) >= 2 && path[0] == '\'' && path[len(path)-1] == '\'' {
		return path[1 : len(path)-1]
	}
	return path
}

// ReadSecret reads a file with one value. An empty path means that the value is
// not set. One trailing newline is cut off, because editors add it.
func ReadSecret(path string) (log.Secret, error) {
	path = Path(path)
	if path == "" {
		return "", nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading secret: %w", err)
	}
	text := strings.TrimSuffix(string(raw), "\n")
	return log.Secret(strings.TrimSuffix(text, "\r")), nil
}

// Read gives the content of a file and the name to use for it in messages. An
// empty path gives no content.
func Read(path string, fallback Fallback) (raw []byte, name string, err error) {
	path = Path(path)
	if path == "" {
		return nil, "", nil
	}
	raw, err = os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && fallback.Path != "" && path == fallback.Path {
		return fallback.Content, embeddedPrefix + path, nil
	}
	if err != nil {
		return nil, path, fmt.Errorf("reading configuration: %w", err)
	}
	return raw, path, nil
}

// ReadYAML decodes a file strictly, see Decode. An empty path leaves into as it is.
func ReadYAML(path string, fallback Fallback, into any) error {
	raw, name, err := Read(path, fallback)
	if err != nil || name == "" {
		return err
	}
	return Decode(name, raw, into)
}

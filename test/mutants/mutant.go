package main

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Mutant is the source with one known fault in it.
type Mutant struct {
	Name   string
	Fault  string // what it re-creates, in one line; where it was seen, if somewhere
	Edits  []Edit
	Caught []Test // all of them must go red

	Tags string        // build tags of the tests
	Env  []string      // further environment of the tests, as NAME=value
	Time time.Duration // for one run of the tests; 0: usualTime
	// Hangs says that running out of time is how the tests see the fault.
	Hangs bool
}

// Edit replaces a text that occurs exactly once in a file of the tree. With an
// empty Old the file is a new one.
type Edit struct{ File, Old, New string }

// Test is a test, example or fuzz target that must catch the mutant. Subtests are
// named as go test names them.
type Test struct{ Package, Name string }

// root gives the folder of the module, in or below which this was started.
func root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("there is no go.mod here or above")
		}
		dir = parent
	}
}

// mutated gives the new contents of the files that the edits concern, by path
// below the root. It fails when the mutant has rotted: the tree is not what it
// was made for.
func (m Mutant) mutated(root string) (map[string]string, error) {
	files := map[string]string{}
	var problems []error
	for _, e := range m.Edits {
		text, ok := files[e.File]
		if !ok {
			raw, err := os.ReadFile(filepath.Join(root, e.File))
			if err != nil && (e.Old != "" || !errors.Is(err, os.ErrNotExist)) {
				problems = append(problems, err)
				continue
			}
			text = string(raw)
		}
		if e.Old == "" && text != "" {
			problems = append(problems, fmt.Errorf("%s: exists, and the mutant would make it", e.File))
			continue
		}
		if n := strings.Count(text, e.Old); e.Old != "" && n != 1 {
			problems = append(problems, fmt.Errorf("%s: the text to replace occurs %d times: %s", e.File, n, e.Old))
			continue
		}
		if e.Old == e.New {
			problems = append(problems, fmt.Errorf("%s: the edit changes nothing", e.File))
		}
		files[e.File] = strings.Replace(text, e.Old, e.New, 1)
	}
	return files, errors.Join(problems...)
}

// check tells why the mutant cannot be what it is meant to be, as far as that
// shows without building it.
func (m Mutant) check(root string) error {
	files, err := m.mutated(root)
	problems := []error{err}
	if m.Fault == "" || len(m.Edits) == 0 || len(m.Caught) == 0 {
		problems = append(problems, errors.New("fault, edits and tests are all needed"))
	}
	for name, text := range files {
		if strings.HasSuffix(name, ".go") {
			_, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
			problems = append(problems, err)
		}
	}
	for _, t := range m.Caught {
		problems = append(problems, t.check(root))
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("mutant %s: %w", m.Name, err)
	}
	return nil
}

// top is the name of the test function.
func (t Test) top() string {
	name, _, _ := strings.Cut(t.Name, "/")
	return name
}

// pattern is the -run expression for exactly this test.
func (t Test) pattern() string {
	parts := strings.Split(t.Name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

func (t Test) check(root string) error {
	names, err := filepath.Glob(filepath.Join(root, t.Package, "*_test.go"))
	if err != nil {
		return err
	}
	declared := regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(t.top()) + `\(`)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if declared.Match(text) {
			return nil
		}
	}
	return fmt.Errorf("%s has no test %s", t.Package, t.top())
}

package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// The table is text, because what it holds is source with quotes of all kinds.
//
//	# a remark
//	== name of the mutant
//	fault: what it re-creates
//	caught: package/dir TestOne TestTwo/a_subtest
//	tags: crashpoints
//	env: CAMPAIGN_SEED=7
//	time: 5m
//	hangs: true
//	--- file/in/the/tree.go
//	text that occurs once
//	+++
//	text in its place
//
// The first three are needed, caught and env may be repeated, and so may the
// edits. A text may begin and end within a line of the source, and have several.
//
//go:embed table/*.txt
var tables embed.FS

// all gives the mutants of all tables.
func all() ([]Mutant, error) {
	names, err := fs.Glob(tables, "table/*.txt")
	if err != nil {
		return nil, err
	}
	var out []Mutant
	var problems []error
	seen := map[string]bool{}
	for _, name := range names {
		text, err := tables.ReadFile(name)
		if err != nil {
			return nil, err
		}
		mutants, err := parse(string(text))
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
		}
		for _, m := range mutants {
			if seen[m.Name] {
				problems = append(problems, fmt.Errorf("%s: there are two mutants %q", name, m.Name))
			}
			seen[m.Name] = true
		}
		out = append(out, mutants...)
	}
	return out, errors.Join(problems...)
}

// parse reads one table.
func parse(text string) ([]Mutant, error) {
	var out []Mutant
	var edit *Edit
	into := (*string)(nil) // the text of an edit that the lines belong to
	for i, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "== "):
			out = append(out, Mutant{Name: line[len("== "):]})
			edit, into = nil, nil
		case len(out) == 0 && (line == "" || line[0] == '#'):
		case len(out) == 0:
			return nil, fmt.Errorf("line %d: belongs to no mutant", i+1)
		case strings.HasPrefix(line, "--- "):
			m := &out[len(out)-1]
			m.Edits = append(m.Edits, Edit{File: line[len("--- "):]})
			edit = &m.Edits[len(m.Edits)-1]
			into = &edit.Old
		case line == "+++" && edit != nil:
			into = &edit.New
		case into != nil:
			*into += line + "\n"
		case line == "" || line[0] == '#':
		default:
			if err := out[len(out)-1].set(line); err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
		}
	}
	for _, m := range out {
		for i := range m.Edits {
			m.Edits[i].Old, m.Edits[i].New = strings.TrimRight(m.Edits[i].Old, "\n"), strings.TrimRight(m.Edits[i].New, "\n")
		}
	}
	return out, nil
}

// set reads one line of a mutant's head.
func (m *Mutant) set(line string) error {
	key, value, _ := strings.Cut(line, ": ")
	var err error
	switch key {
	case "fault":
		m.Fault = value
	case "caught":
		words := strings.Fields(value)
		if len(words) < 2 {
			return fmt.Errorf("%q: a package and a test are needed", line)
		}
		for _, name := range words[1:] {
			m.Caught = append(m.Caught, Test{Package: words[0], Name: name})
		}
	case "tags":
		m.Tags = value
	case "env":
		m.Env = append(m.Env, value)
	case "time":
		m.Time, err = time.ParseDuration(value)
	case "hangs":
		m.Hangs = value == "true"
	default:
		return fmt.Errorf("%q: not a line of a mutant's head", line)
	}
	return err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// haste shortens, in every run, waits that only a test that fails ever uses up.
func haste() []Edit {
	return []Edit{{
		File: "test/harness/harness.go",
		Old:  "const Patience = 60 * time.Second",
		New:  "const Patience = 30 * time.Second",
	}}
}

// judge runs mutants against the tests that must catch them.
type judge struct {
	root  string
	haste []Edit
}

// verdict is what became of one mutant.
type verdict struct {
	mutant Mutant
	took   time.Duration
	why    []string // by test: what it said
	err    error    // nil: caught
}

// healthy tells which of the tests fail without any mutant: they could prove nothing.
func (j judge) healthy(ctx context.Context, mutants []Mutant) error {
	groups := map[string][]order{}
	for _, m := range mutants {
		for _, t := range m.Caught {
			key := strings.Join(append([]string{t.Package, m.Tags}, m.Env...), " ")
			groups[key] = append(groups[key], order{packageDir: t.Package, pattern: t.top(), tags: m.Tags, env: m.Env, time: m.Time})
		}
	}
	var problems []error
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		o, names := groups[key][0], map[string]bool{}
		for _, one := range groups[key] {
			names[one.pattern], o.time = true, max(o.time, one.time)
		}
		o.time = max(o.time, 2*usualTime)
		o.pattern = "^(" + strings.Join(slices.Sorted(maps.Keys(names)), "|") + ")$"
		r, err := j.run(ctx, Mutant{}, o)
		if err != nil {
			return err
		}
		for _, name := range r.failed {
			problems = append(problems, fmt.Errorf("%s: %s is red without any mutant:\n%s", o.packageDir, name, r.said[name]))
		}
		if r.broken || r.timedOut {
			problems = append(problems, fmt.Errorf("%s: does not run without any mutant:\n%s", o.packageDir, r.said[""]))
		}
	}
	return errors.Join(problems...)
}

// try tells whether a mutant is caught by all the tests that it names.
func (j judge) try(ctx context.Context, m Mutant) verdict {
	began := time.Now()
	v := verdict{mutant: m}
	var problems []error
	for _, o := range m.orders() {
		r, err := j.run(ctx, m, o)
		if err != nil {
			problems = append(problems, err)
			break
		}
		for _, t := range m.Caught {
			if o.concerns(t) {
				problems = append(problems, r.red(t, m.Hangs))
				v.why = append(v.why, t.Name+": "+r.why(t))
			}
		}
	}
	v.took, v.err = time.Since(began), errors.Join(problems...)
	return v
}

// orders are the runs that a mutant needs: one for each package and, where
// subtests are named, one for each of these.
func (m Mutant) orders() []order {
	var out []order
	tops := map[string][]string{}
	for _, t := range m.Caught {
		if strings.Contains(t.Name, "/") {
			out = append(out, order{packageDir: t.Package, pattern: t.pattern()})
		} else {
			tops[t.Package] = append(tops[t.Package], t.Name)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(tops)) {
		out = append(out, order{packageDir: dir, pattern: "^(" + strings.Join(tops[dir], "|") + ")$"})
	}
	for i := range out {
		out[i].tags, out[i].env, out[i].time = m.Tags, m.Env, m.Time
	}
	return out
}

func (o order) concerns(t Test) bool {
	if o.packageDir != t.Package {
		return false
	}
	if strings.Contains(t.Name, "/") {
		return o.pattern == t.pattern()
	}
	return strings.HasPrefix(o.pattern, "^(")
}

// run runs tests with the mutant's source in place of the tree's.
func (j judge) run(ctx context.Context, m Mutant, o order) (result, error) {
	dir, err := os.MkdirTemp("", "mutant-")
	if err != nil {
		return result{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	m.Edits = append(slices.Clone(m.Edits), j.haste...)
	files, err := m.mutated(j.root)
	if err != nil {
		return result{}, err
	}
	if o.overlay, err = overlay(j.root, dir, files); err != nil {
		return result{}, err
	}
	return test(ctx, j.root, o)
}

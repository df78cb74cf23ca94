package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// usualTime bounds one run of tests, their compilation not counted.
const usualTime = 3 * time.Minute

// order is one run of go test.
type order struct {
	packageDir string // below the root
	pattern    string // -run
	tags       string
	env        []string
	overlay    string // path of the file
	time       time.Duration
}

// result is what one run of go test said.
type result struct {
	passed, failed, skipped, begun []string // names of tests
	broken                         bool     // it did not compile
	timedOut                       bool
	crashed                        bool              // the process ended in the middle of a test
	said                           map[string]string // by test; "" for what no test said
}

// event is one line of go test -json.
type event struct {
	Action, Test, Output, FailedBuild string
}

var (
	timeOut = regexp.MustCompile(`(?m)^panic: test timed out after`)
	crash   = regexp.MustCompile(`(?m)^(panic|fatal error): `)
)

// test runs go test. An error means that it could not be run at all.
func test(ctx context.Context, root string, o order) (result, error) {
	limit := o.time
	if limit == 0 {
		limit = usualTime
	}
	args := []string{"test", "-json", "-count=1", "-vet=off", "-timeout", limit.String(), "-run", o.pattern}
	if o.tags != "" {
		args = append(args, "-tags", o.tags)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./"+o.packageDir)...)
	cmd.Dir = root
	// By the environment, so that programs which a test builds have the fault too.
	cmd.Env = append(os.Environ(), "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -overlay="+o.overlay))
	cmd.Env = append(cmd.Env, o.env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return result{}, ctx.Err()
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return result{}, err
	}
	r := read(out)
	r.said[""] += stderr.String()
	return r, nil
}

// read makes a result of what go test -json printed.
func read(out []byte) result {
	r := result{said: map[string]string{}}
	for line := range bytes.Lines(out) {
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			r.said[""] += string(line) // what a test wrote past the testing package
			continue
		}
		r.broken = r.broken || e.Action == "build-fail" || e.FailedBuild != ""
		r.said[e.Test] += e.Output
		switch {
		case e.Test == "":
		case e.Action == "run":
			r.begun = append(r.begun, e.Test)
		case e.Action == "pass":
			r.passed = append(r.passed, e.Test)
		case e.Action == "fail":
			r.failed = append(r.failed, e.Test)
		case e.Action == "skip":
			r.skipped = append(r.skipped, e.Test)
		}
	}
	for _, text := range r.said {
		r.timedOut = r.timedOut || timeOut.MatchString(text)
		r.crashed = r.crashed || crash.MatchString(text)
	}
	return r
}

// red tells why a test did not catch a mutant; nil when it did.
func (r result) red(t Test, hangs bool) error {
	switch {
	case r.broken:
		return errors.New("does not compile:\n" + r.said[""])
	case r.timedOut && !hangs:
		return fmt.Errorf("%s ran out of time", t.Name)
	case r.timedOut && !slices.Contains(r.passed, t.Name), slices.Contains(r.failed, t.Name):
		return nil
	case r.crashed && slices.Contains(r.begun, t.Name) && !slices.Contains(r.passed, t.Name):
		return nil // go test gives no verdict of a test that took the process with it
	case slices.Contains(r.skipped, t.Name):
		return fmt.Errorf("%s was skipped", t.Name)
	case slices.Contains(r.passed, t.Name):
		return fmt.Errorf("SURVIVED %s", t.Name)
	}
	return fmt.Errorf("%s did not run", t.Name)
}

// why is the heart of what a failed test said.
func (r result) why(t Test) string {
	var all strings.Builder
	for name, text := range r.said {
		if name == t.Name || strings.HasPrefix(name, t.Name+"/") {
			all.WriteString(text)
		}
	}
	lines := strings.Split(all.String(), "\n")
	found := ""
	for i, line := range lines {
		line = strings.TrimSpace(line)
		if after, ok := strings.CutPrefix(line, "Error:"); ok {
			found = strings.TrimSpace(after)
			if i+1 < len(lines) && found != "" && !strings.HasPrefix(strings.TrimSpace(lines[i+1]), "Test:") {
				found += " " + strings.TrimSpace(lines[i+1])
			}
		}
		if after, ok := strings.CutPrefix(line, "Messages:"); ok {
			return strings.TrimSpace(after)
		}
		if found == "" && crash.MatchString(line) {
			found = line
		}
		if found == "" && said.MatchString(line) {
			found = said.ReplaceAllString(line, "")
		}
	}
	return found
}

var said = regexp.MustCompile(`^[a-z_0-9]+\.go:\d+: `)

// overlay writes the files into dir and gives the path of the file that tells go
// to take them for those of the tree.
func overlay(root, dir string, files map[string]string) (string, error) {
	replace := map[string]string{}
	for name, text := range files {
		copied := filepath.Join(dir, strings.ReplaceAll(name, "/", "__"))
		if err := os.WriteFile(copied, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, name)] = copied
	}
	raw, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, raw, 0o600)
}

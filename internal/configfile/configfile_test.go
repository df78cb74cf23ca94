package configfile_test

import (
	"bytes"
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/configfile"
)

type sample struct {
	Name  string   `yaml:"name"`
	Limit int      `yaml:"limit"`
	Items []string `yaml:"items"`
	Sub   []struct {
		ID string `yaml:"id"`
	} `yaml:"sub"`
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestReadSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, c := range map[string]struct{ content, want string }{
		"one newline is cut":         {"hunter2\n", "hunter2"},
		"only one":                   {"hunter2\n\n", "hunter2\n"},
		"of another system":          {"hunter2\r\n", "hunter2"},
		"blanks belong to the value": {" a b ", " a b "},
	} {
		path := write(t, filepath.Join(dir, strings.ReplaceAll(name, " ", "-")), c.content)
		for _, spelling := range []string{path, `"` + path + `"`, "'" + path + "'"} {
			got, err := configfile.ReadSecret(spelling)
			require.NoError(t, err, name)
			require.Equal(t, c.want, got.Reveal(), name)
		}
	}
	got, err := configfile.ReadSecret("")
	require.NoError(t, err)
	require.Empty(t, got.Reveal())
	_, err = configfile.ReadSecret(filepath.Join(dir, "absent"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestFallbackCountsOnlyAtItsOwnPath(t *testing.T) {
	t.Parallel()
	usual := filepath.Join(t.TempDir(), "usual.yaml")
	fallback := configfile.Fallback{Path: usual, Content: []byte("name: built in")}
	var got sample
	require.NoError(t, configfile.ReadYAML(usual, fallback, &got))
	require.Equal(t, "built in", got.Name)

	err := configfile.ReadYAML(usual+".typo", fallback, &got)
	require.ErrorIs(t, err, fs.ErrNotExist)

	write(t, usual, "name: mine")
	require.NoError(t, configfile.ReadYAML(usual, fallback, &got))
	require.Equal(t, "mine", got.Name)

	unset := sample{Name: "as it was"}
	require.NoError(t, configfile.ReadYAML("", fallback, &unset))
	require.Equal(t, "as it was", unset.Name)
}

func TestAllMistakesAreToldWithTheirLines(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"unknown keys and kinds": {
			"name: a\nlimits: 3\nlimit: many\nitems: {a: b}\nsub:\n- id: x\n  ids: y\n",
			[]string{`f.yaml:2: unknown key "limits"`, "f.yaml:3: expected an integer, found str `many`", "f.yaml:4: expected a list, found map", `f.yaml:7: unknown key "ids"`},
		},
		"repeated key":      {"name: a\nname: b\n", []string{`f.yaml:2: mapping key "name" already defined at line 1`}},
		"broken syntax":     {"name: a\nlimit 3\nitems: []\n", []string{"f.yaml:2: could not find expected ':'"}},
		"two documents":     {"name: a\n---\nname: b\n", []string{"f.yaml: more than one YAML document"}},
		"a list at the top": {"- a\n", []string{"f.yaml:1: expected a mapping, found seq"}},
	} {
		err := configfile.Decode("f.yaml", []byte(c.text), new(sample))
		require.EqualError(t, err, strings.Join(c.want, "\n"), name)
	}
	require.NoError(t, configfile.Decode("f.yaml", []byte("# nothing yet\n"), new(sample)))
}

func TestProblemsFindTheirLines(t *testing.T) {
	t.Parallel()
	raw := []byte("name: a\nsub:\n- id: x\n\n- id: y\n")
	var problems configfile.Problems
	require.NoError(t, problems.Err("f.yaml", raw))
	sub := configfile.Place{"sub"}
	problems.Addf(sub.At(1, "id"), "%q is not wanted", "y")
	problems.Addf(sub.At(0, "absent"), "is required")
	problems.Addf(nil, "is poor")
	require.EqualError(t, problems.Err("f.yaml", raw),
		"f.yaml:5: sub[1].id: \"y\" is not wanted\nf.yaml:3: sub[0].absent: is required\nf.yaml:1: is poor")
}

func TestLiveKeepsTheLastGoodValue(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "live.yaml")
	var logged lockedBuffer
	live, err := configfile.NewLive(configfile.Source[string]{
		Path:     path,
		Fallback: configfile.Fallback{Path: path, Content: []byte("name: built in")},
		Parse: func(name string, raw []byte) (string, error) {
			var s sample
			err := configfile.Decode(name, raw, &s)
			return s.Name, err
		},
		Every:  time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(&logged, nil)),
	})
	require.NoError(t, err)
	require.Equal(t, "built in", live.Get())

	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { live.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })

	become := func(want string) {
		t.Helper()
		require.Eventually(t, func() bool { return live.Get() == want }, 5*time.Second, time.Millisecond)
	}
	says := func(want string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(logged.String(), want) }, 5*time.Second, time.Millisecond)
	}
	replace := func(text string) {
		t.Helper()
		require.NoError(t, os.Rename(write(t, path+".new", text), path))
	}
	replace("name: one")
	become("one")
	replace("name: two\nnames: x")
	says(`live.yaml:2: unknown key`)
	require.Equal(t, "one", live.Get())
	require.Equal(t, 1, strings.Count(logged.String(), "unknown key"), "told once, not at each look")
	require.NoError(t, os.Remove(path))
	says("cannot be read")
	require.Equal(t, "one", live.Get(), "a file that vanishes does not bring the defaults back")
	replace("name: two")
	become("two")
}

func TestLiveRefusesABadStart(t *testing.T) {
	t.Parallel()
	path := write(t, filepath.Join(t.TempDir(), "f.yaml"), "nam: x")
	_, err := configfile.NewLive(configfile.Source[sample]{Path: path, Parse: func(name string, raw []byte) (s sample, err error) {
		return s, configfile.Decode(name, raw, &s)
	}})
	require.ErrorContains(t, err, `f.yaml:1: unknown key "nam"`)
	require.Equal(t, 7, configfile.Fixed(7).Get())
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

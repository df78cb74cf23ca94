package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whether the mutants are caught takes minutes and is `make mutants`. That none of
// them has rotted shows at once.
func TestEveryMutantFitsTheTree(t *testing.T) {
	t.Parallel()
	root, err := root()
	require.NoError(t, err)
	mutants, err := all()
	require.NoError(t, err)
	require.NotEmpty(t, mutants)
	for _, m := range mutants {
		if err := m.check(root); err != nil {
			t.Error(err)
		}
	}
	for _, e := range haste() {
		_, err := Mutant{Edits: []Edit{e}}.mutated(root)
		require.NoError(t, err)
	}
}

// A window test that no mutant ever turned red proves nothing.
func TestEveryWindowTestHasAMutant(t *testing.T) {
	t.Parallel()
	root, err := root()
	require.NoError(t, err)
	mutants, err := all()
	require.NoError(t, err)
	proven := map[Test]bool{}
	for _, m := range mutants {
		for _, caught := range m.Caught {
			proven[Test{caught.Package, caught.top()}] = true
		}
	}
	found := 0
	for _, one := range windowTests(t, root) {
		found++
		if !proven[one] {
			t.Errorf("%s of %s is named by no mutant", one.Name, one.Package)
		}
	}
	require.Positive(t, found)
}

// windowTests gives the tests that are named after a window.
func windowTests(t *testing.T, root string) []Test {
	t.Helper()
	window := regexp.MustCompile(`^TestWindow\d\d`)
	var out []Test
	for _, top := range []string{"internal", "test", "cmd", "pkg"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			dir, err := filepath.Rel(root, filepath.Dir(path))
			for _, d := range file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && window.MatchString(f.Name.Name) {
					out = append(out, Test{filepath.ToSlash(dir), f.Name.Name})
				}
			}
			return err
		})
		require.NoError(t, err)
	}
	return out
}

// small is a module with one function, and tests that see it in various ways.
func small(t *testing.T) judge {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":     "module small\n\ngo 1.26\n",
		"sum/sum.go": "package sum\n\nfunc Sum(a, b int) int { return a + b }\n",
		"sum/sum_test.go": `package sum

import (
	"os"
	"testing"
	"time"
)

func TestSum(t *testing.T) {
	for name, want := range map[string]int{"small": 3, "large": 3000} {
		t.Run(name, func(t *testing.T) {
			if got := Sum(want/3, want-want/3); got != want {
				t.Fatalf("it is %d", got)
			}
		})
	}
}

func TestNothing(t *testing.T) { Sum(1, 2) }

func TestSkipped(t *testing.T) { t.Skip(Sum(1, 2)) }

func TestWhenTold(t *testing.T) {
	if os.Getenv("TOLD") != "" && Sum(1, 2) != 3 {
		t.Fatal("it is not")
	}
}

func TestSlow(t *testing.T) {
	if Sum(1, 2) != 3 {
		<-time.After(time.Hour)
	}
}
`,
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return judge{root: dir}
}

func TestAMutantIsCaughtOnlyByATestThatFails(t *testing.T) {
	t.Parallel()
	j := small(t)
	minus := "--- sum/sum.go\na + b\n+++\na - b\n"
	for head, want := range map[string]string{
		"caught: sum TestSum/small TestSum/large":                   "",
		"caught: sum TestWhenTold\nenv: TOLD=1":                     "",
		"caught: sum TestWhenTold TestSum TestSkipped":              "SURVIVED TestWhenTold\nTestSkipped was skipped",
		"caught: sum TestSlow\ntime: 1s":                            "TestSlow ran out of time",
		"caught: sum TestSum\n--- sum/sum.go\nb int\n+++\nb string": "does not compile",
		"caught: sum TestSum\n--- sum/sum.go\nint\n+++\n":           "occurs 2 times",
	} {
		t.Run(head, func(t *testing.T) {
			t.Parallel()
			mutants, err := parse("# small\n\n== one\nfault: another sum\n" + head + "\n" + minus)
			require.NoError(t, err)
			v := j.try(t.Context(), mutants[0])
			if want == "" {
				require.NoError(t, v.err)
				return
			}
			require.ErrorContains(t, v.err, want)
		})
	}
}

func TestRunningOutOfTimeIsSeeingAFaultOnlyWhereThatWasSaid(t *testing.T) {
	t.Parallel()
	one := Test{Package: "sum", Name: "TestSum"}
	out := read([]byte(`{"Action":"output","Test":"TestSum","Output":"panic: test timed out after 1s\n"}` + "\n" + `{"Action":"fail","Test":"TestSum"}`))
	require.ErrorContains(t, out.red(one, false), "ran out of time")
	require.NoError(t, out.red(one, true))
	require.ErrorContains(t, read(nil).red(one, true), "did not run")
	require.ErrorContains(t, read([]byte(`{"Action":"pass","Test":"TestSum"}`)).red(one, true), "SURVIVED")
	died := `{"Action":"run","Test":"TestSum"}` + "\n" + `{"Action":"output","Test":"TestSum","Output":"panic: dead\n"}` + "\n" + `{"Action":"fail"}`
	require.NoError(t, read([]byte(died)).red(one, false))
	require.ErrorContains(t, read([]byte(`{"Action":"build-fail","ImportPath":"sum"}`)).red(one, true), "does not compile")
}

func TestTestsThatAreRedAnywayProveNothing(t *testing.T) {
	t.Parallel()
	j := small(t)
	mutants, err := parse("== one\nfault: f\ncaught: sum TestSum TestNothing\n--- sum/sum.go\na + b\n+++\na - b")
	require.NoError(t, err)
	require.NoError(t, j.healthy(t.Context(), mutants))
	j.haste = []Edit{{File: "sum/sum.go", Old: "a + b", New: "b"}}
	require.ErrorContains(t, j.healthy(t.Context(), mutants), "TestSum is red without any mutant")
}

func TestATableThatCannotBeReadIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"fault: of nobody", "== one\nfautl: f", "== one\ncaught: package", "== one\ntime: soon"} {
		_, err := parse(text)
		require.Error(t, err, text)
	}
	for _, rotten := range []string{
		"fault: f\ncaught: sum TestGone\n--- sum/sum.go\na + b\n+++\na",
		"fault: f\ncaught: sum TestSum\n--- sum/sum.go\na * b\n+++\na",
		"fault: f\ncaught: sum TestSum\n--- sum/sum.go\na + b\n+++\na + b",
		"fault: f\ncaught: sum TestSum\n--- sum/sum.go\na + b\n+++\na +",
		"fault: f\ncaught: sum TestSum\n--- gone.go\na + b\n+++\na",
		"fault: f\ncaught: sum TestSum\n--- sum/sum.go\n\n+++\npackage sum",
		"caught: sum TestSum\n--- sum/sum.go\na + b\n+++\na",
		"fault: f\n--- sum/sum.go\na + b\n+++\na",
	} {
		mutants, err := parse("== one\n" + rotten)
		require.NoError(t, err)
		require.Error(t, mutants[0].check(small(t).root), rotten)
	}
}

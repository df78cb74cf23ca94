// Command mutants proves that tests can fail: it puts known faults into copies of
// the source, one at a time, and demands that the tests which are there to see the
// fault go red.
//
// It is for faults that were seen somewhere, in public trackers or in the numbered
// windows of fleet managers, and for those that a campaign must not pass. It is not
// for mutating whatever can be mutated. Invariant: a mutant counts as caught only
// if the tests are green without it, it compiles, and each test it names ran and
// failed; a mutant whose text is no longer in the tree is a failure, so the table
// cannot rot.
//
// The table is data, in table/*.txt; the form is told in table.go. MUTANTS_ONLY is
// a regular expression for names, MUTANTS_PARALLEL how many are tried at a time.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	root, err := root()
	if err != nil {
		return err
	}
	chosen, parallel, err := choose()
	if err != nil {
		return err
	}
	var rotten []error
	for _, m := range chosen {
		rotten = append(rotten, m.check(root))
	}
	if err := errors.Join(rotten...); err != nil {
		return err
	}
	j := judge{root: root, haste: haste()}
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	say("%d mutants; first their tests without them", len(chosen))
	began := time.Now()
	if err := j.healthy(ctx, chosen); err != nil {
		return err
	}
	say("healthy in %.0f s", time.Since(began).Seconds())
	verdicts := j.tryAll(ctx, chosen, parallel, say)
	table(say, verdicts)
	alive := 0
	for _, v := range verdicts {
		if v.err != nil {
			alive++
		}
	}
	if alive > 0 {
		return fmt.Errorf("%d of %d mutants were not caught", alive, len(verdicts))
	}
	say("\nall %d mutants were caught in %.0f s", len(verdicts), time.Since(began).Seconds())
	return nil
}

func choose() (chosen []Mutant, parallel int, err error) {
	only, err := regexp.Compile(os.Getenv("MUTANTS_ONLY"))
	if err != nil {
		return nil, 0, fmt.Errorf("MUTANTS_ONLY: %w", err)
	}
	parallel = 2
	if text := os.Getenv("MUTANTS_PARALLEL"); text != "" {
		if parallel, err = strconv.Atoi(text); err != nil || parallel < 1 {
			return nil, 0, fmt.Errorf("MUTANTS_PARALLEL: %q is no positive number", text)
		}
	}
	if chosen, err = all(); err != nil {
		return nil, 0, err
	}
	chosen = slices.DeleteFunc(chosen, func(m Mutant) bool { return !only.MatchString(m.Name) })
	if len(chosen) == 0 {
		return nil, 0, errors.New("MUTANTS_ONLY: no mutant has such a name")
	}
	return chosen, parallel, nil
}

// tryAll tries the mutants, several at a time, and tells of each as soon as it is judged.
func (j judge) tryAll(ctx context.Context, mutants []Mutant, parallel int, say func(string, ...any)) []verdict {
	verdicts := make([]verdict, len(mutants))
	next := make(chan int)
	var telling sync.Mutex
	var trying sync.WaitGroup
	for range parallel {
		trying.Go(func() {
			for i := range next {
				v := j.try(ctx, mutants[i])
				verdicts[i] = v
				telling.Lock()
				tell(say, v)
				telling.Unlock()
			}
		})
	}
	for i := range mutants {
		next <- i
	}
	close(next)
	trying.Wait()
	return verdicts
}

func tell(say func(string, ...any), v verdict) {
	word := "caught "
	if v.err != nil {
		word = "ESCAPED"
	}
	say("%s %s (%.1f s)", word, v.mutant.Name, v.took.Seconds())
	for _, why := range v.why {
		say("        %s", why)
	}
	if v.err != nil {
		say("        %s", strings.ReplaceAll(v.err.Error(), "\n", "\n        "))
	}
}

// table prints what a page of the documentation can show.
func table(say func(string, ...any), verdicts []verdict) {
	say("\n| mutant | fault | caught by | seconds |\n|---|---|---|---|")
	for _, v := range verdicts {
		var tests []string
		for _, t := range v.mutant.Caught {
			tests = append(tests, "`"+t.Name+"`")
		}
		caught := strings.Join(tests, " ")
		if v.err != nil {
			caught = "**nothing**"
		}
		say("| %s | %s | %s | %.0f |", v.mutant.Name, v.mutant.Fault, caught, v.took.Seconds())
	}
}

// Command bench measures how fast the fleet manager is and what it costs: the
// binary that ships, in processes of its own, on a real PostgreSQL, beside a floor
// server that does no more than the protocol and one query ask for.
//
// It is for comparing: with the floor of the same run, with the targets, with the
// run before a change. It is no test and judges no build: a missed target ends
// with success like a reached one, and only a measurement that could not be made
// is an error. Invariant: everything it starts listens on the loopback interface
// only, is bounded in time and number, and has ended when it ends.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:])
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string) error {
	if len(args) == 1 && args[0] == floorCommand {
		return serveFloor(ctx, os.Getenv(floorDatabase), os.Stdout)
	}
	s, err := readSettings(os.Getenv)
	if err != nil {
		return err
	}
	return run(ctx, s, os.Stdout)
}

// bench is one run.
type bench struct {
	settings settings
	began    time.Time
	out      io.Writer
	server   *databaseServer
	folder   string
}

func run(ctx context.Context, s settings, out io.Writer) (err error) {
	b := &bench{settings: s, began: time.Now(), out: out}
	if b.folder, err = os.MkdirTemp("", "kfm-bench-"); err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.folder)) }()
	if b.server, err = openServer(ctx, s); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.server.close()) }()
	if err := b.describe(ctx); err != nil {
		return err
	}
	var problems []error
	for i, size := range s.Sizes {
		fleets := []fleet{{size: size, organisations: organisations, first: i == 0}}
		if s.OneOrganisation {
			fleets = append(fleets, fleet{size: size, organisations: 1})
		}
		for _, f := range fleets {
			t, err := b.measure(ctx, f)
			t.print(out)
			if err != nil {
				problems = append(problems, fmt.Errorf("measuring %s: %w", f, err))
			}
			if ctx.Err() != nil {
				return errors.Join(append(problems, ctx.Err())...)
			}
		}
	}
	return errors.Join(problems...)
}

// say tells how far the run is.
func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(os.Stderr, "%6.1fs  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}

// measure makes a fleet and takes its figures. A part that fails does not keep the others back.
func (b *bench) measure(ctx context.Context, f fleet) (*table, error) {
	t := &table{title: f.String()}
	b.say("making %s", f)
	s, err := b.openStage(ctx, f)
	if err != nil {
		return t, err
	}
	defer s.close()
	var problems []error
	for _, part := range b.settings.wanted(f) {
		b.say("%s: %s", f, part.name)
		err := part.measure(s, ctx, t)
		if s.main.ended() {
			return t, fmt.Errorf("the fleet manager ended: %s", s.main.lastLog(""))
		}
		if err != nil {
			t.add(row{work: part.name, result: "not measured to the end: " + err.Error()})
			problems = append(problems, fmt.Errorf("%s: %w; its log: %s", part.name, err, s.main.lastLog(`"level":"ERROR"`)))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return t, errors.Join(problems...)
}

// part is one group of figures. Their order matters: each finds the fleet as the
// ones before left it.
type part struct {
	name    string
	measure func(s *stage, ctx context.Context, t *table) error
	once    bool // on the first fleet of a run only
	worst   bool // also on a fleet of one organisation
	asked   bool // only when it is named: it takes many minutes
}

func parts() []part {
	return []part{
		{name: "start", measure: (*stage).measureStart},
		{name: "idle", measure: (*stage).measureIdle},
		{name: "get", measure: (*stage).measureGet},
		{name: "lists", measure: (*stage).measureLists, worst: true},
		{name: "catalogue", measure: (*stage).measureCatalogue},
		{name: "agent", measure: (*stage).measureAgent},
		{name: "life", measure: (*stage).measureLife},
		{name: "take-over", measure: (*stage).measureTakeOver, once: true},
		{name: "create", measure: (*stage).measureCreate, worst: true},
		{name: "crowd", measure: (*stage).measureCrowd, asked: true},
		{name: throughPart, measure: (*stage).measureThrough, asked: true},
	}
}

func partNames() []string {
	var names []string
	for _, p := range parts() {
		names = append(names, p.name)
	}
	return names
}

// wanted gives the parts that concern a fleet.
func (s settings) wanted(f fleet) []part {
	return slices.DeleteFunc(parts(), func(p part) bool {
		return p.once && !f.first || f.organisations == 1 && !p.worst || p.asked && len(s.Only) == 0 || len(s.Only) > 0 && !slices.Contains(s.Only, p.name)
	})
}

package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// row is one line of the result.
type row struct {
	work   string
	result string // where a row is not a load
	load   *loaded
	target string
	missed []string // what of the target; nil and a target: reached
}

// loaded is a load with its costs.
type loaded struct {
	outcome
	used     used
	resident int64
}

func (l loaded) serverPer() time.Duration { return per(l.used.server, l.requests) }

func (l loaded) databasePer() time.Duration { return per(l.used.database, l.requests) }

func per(d time.Duration, n int) time.Duration {
	if n == 0 {
		return 0
	}
	return d / time.Duration(n)
}

// table is what was measured on one fleet.
type table struct {
	title string
	rows  []row
}

func (t *table) add(r row) { t.rows = append(t.rows, r) }

// goal is a part of a target: a limit that a figure must keep.
type goal struct {
	what    string
	figure  float64
	limit   float64
	atLeast bool
}

func under(what string, figure, limit time.Duration) goal {
	return goal{what: what, figure: milliseconds(figure), limit: milliseconds(limit)}
}

func misses(goals []goal) []string {
	var missed []string
	for _, g := range goals {
		if g.atLeast && g.figure < g.limit || !g.atLeast && g.figure > g.limit {
			missed = append(missed, g.what)
		}
	}
	return missed
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// print writes the table as Markdown, which people can read as it is.
func (t *table) print(out io.Writer) {
	if len(t.rows) == 0 {
		return
	}
	lines := [][]string{
		{"Work", "Result", "req/s", "p50 ms", "p90 ms", "p99 ms", "server CPU ms", "db CPU ms", "RSS MiB", "Target", ""},
		{"---", "---", "--:", "--:", "--:", "--:", "--:", "--:", "--:", "---", "---"},
	}
	for _, r := range t.rows {
		lines = append(lines, r.cells())
	}
	widths := make([]int, len(lines[0]))
	for _, cells := range lines {
		for i, cell := range cells {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	var text strings.Builder
	fmt.Fprintf(&text, "\n### %s\n\n", t.title)
	for _, cells := range lines {
		for i, cell := range cells {
			fmt.Fprintf(&text, "| %s%s ", cell, strings.Repeat(" ", widths[i]-len([]rune(cell))))
		}
		text.WriteString("|\n")
	}
	_, _ = io.WriteString(out, text.String())
}

func (r row) cells() []string {
	cells := []string{r.work, r.result, "", "", "", "", "", "", "", r.target, r.verdict()}
	if l := r.load; l != nil {
		if l.errors > 0 {
			cells[1] = strings.TrimSpace(fmt.Sprintf("%s %d errors: %v", cells[1], l.errors, l.first))
		}
		cells[2] = fmt.Sprintf("%.0f", l.rate())
		for i, q := range []float64{0.5, 0.9, 0.99} {
			cells[3+i] = fmt.Sprintf("%.2f", milliseconds(l.quantile(q)))
		}
		cells[6] = fmt.Sprintf("%.3f", milliseconds(l.serverPer()))
		cells[7] = fmt.Sprintf("%.3f", milliseconds(l.databasePer()))
		cells[8] = fmt.Sprintf("%.0f", mebibytes(l.resident))
	}
	return cells
}

func (r row) verdict() string {
	switch {
	case r.target == "":
		return ""
	case len(r.missed) == 0 && (r.load == nil || r.load.errors == 0):
		return "ok"
	case len(r.missed) == 0:
		return "miss: errors"
	default:
		return "miss: " + strings.Join(r.missed, ", ")
	}
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

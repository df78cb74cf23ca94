package arch

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/cluster"
	"github.com/kas-fleet/kas-fleet-manager/internal/cluster/clusterwork"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka"
	"github.com/kas-fleet/kas-fleet-manager/internal/kafka/kafkawork"
	"github.com/kas-fleet/kas-fleet-manager/internal/serviceaccount"
	"github.com/kas-fleet/kas-fleet-manager/internal/serviceaccount/serviceaccountwork"
)

// life is one aggregate's transition table in words.
type life struct {
	title, head string
	begins      []string
	statuses    []status
	steps       []step
}

type status struct {
	name, doc, loop string
	deadline        time.Duration
	onDeadline      string
}

type step struct {
	event, to, actors, doc string
	from                   []string
	final                  bool
}

func TestLifecyclePage(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	out.WriteString(pageHead + "# Life cycles\n\nEvery change of a status is a line of a transition table (`lifecycle.go` of its core), and one function, `Apply`, writes it: " +
		"if the row is still the one that was judged and the table allows the step. What the tables do not list cannot happen.\n")
	for _, l := range lives() {
		l.write(&out)
	}
	fresh(t, "docs/lifecycle.md", out.String())
}

func (l life) write(out *strings.Builder) {
	fmt.Fprintf(out, "\n## %s\n\n%s\n\n```mermaid\nstateDiagram-v2\n", l.title, l.head)
	for _, first := range l.begins {
		fmt.Fprintf(out, "    [*] --> %s\n", first)
	}
	for _, s := range l.steps {
		for _, from := range s.from {
			to := s.to
			if s.final {
				to = "[*]"
			}
			fmt.Fprintf(out, "    %s --> %s : %s\n", from, to, s.event)
		}
	}
	out.WriteString("```\n\n| status | meaning | acted on by | deadline |\n|---|---|---|---|\n")
	for _, s := range l.statuses {
		deadline := "–"
		if s.deadline > 0 {
			deadline = short(s.deadline)
			if s.onDeadline != "" {
				deadline += ", then `" + s.onDeadline + "`"
			}
		}
		loop := "–"
		if s.loop != "" {
			loop = "`" + s.loop + "`"
		}
		row(out, "`"+s.name+"`", s.doc, loop, deadline)
	}
	out.WriteString("\nA deadline counts from the moment the status was entered, never from creation.\n\n| event | from | to | caused by | meaning |\n|---|---|---|---|---|\n")
	for _, s := range l.steps {
		to := "`" + s.to + "`"
		if s.final {
			to += ", row soft-deleted"
		}
		row(out, "`"+s.event+"`", "`"+strings.Join(s.from, "` `")+"`", to, s.actors, s.doc)
	}
}

// short writes 1h0m0s as 1h.
func short(d time.Duration) string {
	text := strings.TrimSuffix(d.String(), "0s")
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func lives() []life { return []life{kafkaLife(), clusterLife()} }

func kafkaLife() life {
	l := life{title: "A Kafka instance", begins: []string{string(kafka.Reserving), string(kafka.Accepted)}, head: "Statuses as customers and agents see them. A deleted instance has none: its row is soft-deleted. " +
		"Only `reserving` is hidden: in it a row is born whose quota is reserved outside, and its deadline says when the order is undone."}
	for _, s := range kafka.Statuses() {
		l.statuses = append(l.statuses, status{string(s.Status), s.Doc, s.Loop, s.Deadline, string(s.OnDeadline)})
	}
	for _, tr := range kafka.Transitions() {
		l.steps = append(l.steps, step{event: string(tr.Event), to: string(tr.To), actors: list(tr.Actors), doc: tr.Doc, from: texts(tr.From), final: tr.Final})
	}
	return l
}

func clusterLife() life {
	l := life{title: "A data-plane cluster", begins: texts([]cluster.Status{cluster.Provisioning, cluster.Provisioned, cluster.Ready}), head: "Clusters are listed by the operator's file and enter with the status that it gives them. " +
		"A deadline ends nothing here: who outlives it is counted as overdue. Creation at the provider and removal are not built yet, so some statuses have no way in or out."}
	for _, s := range cluster.Statuses() {
		l.statuses = append(l.statuses, status{string(s.Status), s.Doc, s.Loop, s.Deadline, ""})
	}
	for _, tr := range cluster.Transitions() {
		l.steps = append(l.steps, step{event: string(tr.Event), to: string(tr.To), actors: list(tr.Actors), doc: tr.Doc, from: texts(tr.From)})
	}
	return l
}

func texts[T ~string](values []T) []string {
	var out []string
	for _, v := range values {
		out = append(out, string(v))
	}
	return out
}

func list[T ~string](values []T) string { return strings.Join(texts(values), ", ") }

// TestLoopsOfTheTablesExist keeps the tables and the engine's list of loops together.
func TestLoopsOfTheTablesExist(t *testing.T) {
	t.Parallel()
	names := loopNames()
	for _, l := range lives() {
		for _, s := range l.statuses {
			if s.loop != "" {
				require.Contains(t, names, s.loop, "%s of %s", s.name, l.title)
			}
		}
	}
}

// loopNames are the worker_type labels. The loops are only asked for their names.
func loopNames() []string {
	var names []string
	loops := slices.Concat(kafkawork.New(kafkawork.Deps{}).Loops(), clusterwork.New(clusterwork.Deps{}).Loops(),
		serviceaccountwork.Loops(&serviceaccount.Service{}, serviceaccountwork.Timing{Tick: time.Minute, Sweep: time.Minute}))
	for _, l := range loops {
		names = append(names, l.Name)
	}
	return names
}

// TestSchemaKnowsTheStatuses: a status that the database refuses, or one that
// nothing can reach, is a mistake in one of the two.
func TestSchemaKnowsTheStatuses(t *testing.T) {
	t.Parallel()
	schema, err := os.ReadFile(filepath.Join(root, "internal/db/migrations/schema.sql"))
	require.NoError(t, err)
	require.ElementsMatch(t, names(clusterLife()), allowed(t, string(schema), "clusters_status_known"))
	require.ElementsMatch(t, names(kafkaLife()), allowed(t, string(schema), "kafka_requests_status_known"))
}

func names(l life) (names []string) {
	for _, s := range l.statuses {
		names = append(names, s.name)
	}
	return names
}

// allowed reads the values of a CHECK constraint.
func allowed(t *testing.T, schema, constraint string) (values []string) {
	t.Helper()
	lines := strings.Split(schema, "\n")
	i := slices.IndexFunc(lines, func(line string) bool { return strings.Contains(line, "CONSTRAINT "+constraint+" CHECK") })
	require.GreaterOrEqual(t, i, 0, "the schema has no constraint %s", constraint)
	for _, quoted := range regexp.MustCompile(`'([^']+)'`).FindAllStringSubmatch(lines[i], -1) {
		values = append(values, quoted[1])
	}
	return values
}

package search_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/kas-fleet/kas-fleet-manager/test/postgres"
)

// row is a Kafka as the oracle sees it.
type row map[string]string

func rows() []row {
	var all []row
	names := []string{"a", "A", "ab", "a%b", "a_b", `a\b`, `\`, "it's", "é", "漢字 🎉", "(x)=<y>, z", "and", "", "a b", `"`, "b"}
	for i, name := range names {
		all = append(all, row{
			"id": fmt.Sprintf("k%02d", i), "name": name, "owner": names[(i*7+3)%len(names)],
			"region": []string{"us-east-1", "eu-west-1"}[i%2], "status": []string{"ready", "failed", "accepted"}[i%3],
			"cloud_provider": "aws", "cluster_id": fmt.Sprintf("c%d", i%4), "namespace": []string{"enterprise", "kafka"}[i/2%2],
		})
	}
	return all
}

// predicate is a search that the test made up: how it is written, and which
// rows it means, found out without the package under test.
type predicate struct {
	text  string
	holds func(row) bool
}

func drawValue(t *rapid.T) string {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"a", "ab", "a%b", "it's", "é", "漢字 🎉", "(x)=<y>, z", "and", "", `\`, `"`, "%", "_", "us-east-1", "ready", "c1", `a\_b`}),
		rapid.StringOfN(rapid.RuneFrom([]rune(`aAb%_\é漢'( `)), 0, 5, -1),
	).Draw(t, "value")
}

// write renders a value, bare when that is possible and wanted.
func write(t *rapid.T, value string) string {
	bare := value != "" && !strings.ContainsAny(value, "'\"(),=<> \t")
	if bare && rapid.Bool().Draw(t, "bare") {
		return value
	}
	escape := rapid.SampledFrom([]string{"''", `\'`}).Draw(t, "escape")
	return "'" + strings.ReplaceAll(value, "'", escape) + "'"
}

// quotable says whether quotes can hold the value: a backslash run of odd length
// before a quote, written or closing, would escape that quote.
func quotable(value string) bool {
	for i, run := 0, 0; i <= len(value); i++ {
		switch {
		case i < len(value) && value[i] == '\\':
			run++
			continue
		case run%2 == 1 && (i == len(value) || value[i] == '\''):
			return false
		}
		run = 0
	}
	return true
}

func space(t *rapid.T) string {
	return rapid.SampledFrom([]string{" ", "  ", "\t", "\n "}).Draw(t, "space")
}

func spell(t *rapid.T, word string) string {
	return rapid.SampledFrom([]string{word, strings.ToUpper(word), strings.ToUpper(word[:1]) + word[1:]}).Draw(t, "spelling")
}

func field(r row, column string) string {
	if column == "cluster_id" && r["namespace"] != "enterprise" {
		return ""
	}
	return r[column]
}

func drawComparison(t *rapid.T) predicate {
	column := rapid.SampledFrom([]string{"name", "owner", "region", "status", "cluster_id"}).Draw(t, "column")
	op := rapid.SampledFrom([]string{"=", "<>", "like", "ilike", "in", "not in"}).Draw(t, "operator")
	usable := rapid.Custom(drawValue).Filter(quotable)
	if op == "like" || op == "ilike" {
		usable = usable.Filter(func(v string) bool { return (len(v)-len(strings.TrimRight(v, `\`)))%2 == 0 })
	}
	value := usable.Draw(t, "usable")
	head := spell(t, column) + space(t) + strings.ReplaceAll(spell(t, op), " ", space(t))
	switch op {
	case "=":
		return predicate{head + write(t, value), func(r row) bool { return field(r, column) == value }}
	case "<>":
		return predicate{head + write(t, value), func(r row) bool { return field(r, column) != value }}
	case "like":
		return predicate{head + space(t) + write(t, value), func(r row) bool { return like([]rune(field(r, column)), []rune(value)) }}
	case "ilike":
		return predicate{head + space(t) + write(t, value), func(r row) bool {
			return like([]rune(strings.ToLower(field(r, column))), []rune(strings.ToLower(value)))
		}}
	}
	values := rapid.SliceOfN(usable, 1, 3).Draw(t, "values")
	written := make([]string, len(values))
	for i, v := range values {
		written[i] = write(t, v)
	}
	return predicate{head + "(" + strings.Join(written, ","+space(t)) + ")", func(r row) bool {
		return slices.Contains(values, field(r, column)) == (op == "in")
	}}
}

// drawPredicate writes OR of AND of primaries, with parentheses where the meaning
// needs them and sometimes where it does not.
func drawPredicate(t *rapid.T, depth int) predicate {
	var text []string
	var alternatives []func(row) bool
	for range rapid.IntRange(1, 2).Draw(t, "alternatives") {
		var parts []string
		var all []func(row) bool
		for range rapid.IntRange(1, 2).Draw(t, "parts") {
			p := drawComparison(t)
			if depth > 0 && rapid.Bool().Draw(t, "nested") {
				p = drawPredicate(t, depth-1)
				p.text = "(" + p.text + ")"
			}
			parts, all = append(parts, p.text), append(all, p.holds)
		}
		text = append(text, strings.Join(parts, space(t)+spell(t, "and")+space(t)))
		alternatives = append(alternatives, func(r row) bool {
			return !slices.ContainsFunc(all, func(holds func(row) bool) bool { return !holds(r) })
		})
	}
	return predicate{strings.Join(text, space(t)+spell(t, "or")+space(t)), func(r row) bool {
		return slices.ContainsFunc(alternatives, func(holds func(row) bool) bool { return holds(r) })
	}}
}

// like is LIKE by trying everything.
func like(text, pattern []rune) bool {
	if len(pattern) == 0 {
		return len(text) == 0
	}
	switch pattern[0] {
	case '%':
		return like(text, pattern[1:]) || len(text) > 0 && like(text[1:], pattern)
	case '_':
		return len(text) > 0 && like(text[1:], pattern[1:])
	case '\\':
		pattern = pattern[1:]
	}
	return len(text) > 0 && text[0] == pattern[0] && like(text[1:], pattern[1:])
}

func TestPostgreSQLFindsWhatTheOracleFinds(t *testing.T) {
	t.Parallel()
	gorm := postgres.Database(t).Gorm(t.Context())
	all := rows()
	for _, r := range all {
		require.NoError(t, gorm.Exec(`INSERT INTO kafka_requests (id, name, owner, region, status, cloud_provider, cluster_id, namespace,
			created_at, updated_at, status_changed_at, next_attempt_at, organisation_id, instance_type, size_id, capacity_consumed,
			quota_consumed, quota_type, max_data_retention_size) VALUES (?, ?, ?, ?, ?, ?, ?, ?, now(), now(), now(), now(), ?, 'standard', 'x1', 1, 1, 'q', '1')`,
			r["id"], r["name"], r["owner"], r["region"], r["status"], r["cloud_provider"], r["cluster_id"], r["namespace"], r["id"]).Error)
	}
	order, err := language().ParseOrder("id")
	require.NoError(t, err)
	joins := func(text string) int {
		words := strings.Fields(strings.NewReplacer("(", " ", ")", " ").Replace(strings.ToLower(text)))
		return len(slices.DeleteFunc(words, func(w string) bool { return w != "and" && w != "or" && w != "not" }))
	}
	rapid.Check(t, func(rt *rapid.T) {
		p := rapid.Custom(func(t *rapid.T) predicate { return drawPredicate(t, 2) }).
			Filter(func(p predicate) bool { return joins(p.text) <= 10 && len(p.text) <= 1024 }).Draw(rt, "predicate")
		filter, err := language().Parse(p.text)
		require.NoError(rt, err, p.text)
		var want, got []string
		for _, r := range all {
			if p.holds(r) && r["region"] == "us-east-1" {
				want = append(want, r["id"])
			}
		}
		sql, args := filter.Clause()
		require.NoError(rt, gorm.Table("kafka_requests").Where("region = ?", "us-east-1").Where(sql, args...).
			Order(order).Pluck("id", &got).Error, p.text)
		require.ElementsMatch(rt, want, got, p.text)
	})
}

// TestNoSearchFailsInPostgreSQL sends what the parser lets pass, whatever it is.
func TestNoSearchFailsInPostgreSQL(t *testing.T) {
	t.Parallel()
	gorm := postgres.Database(t).Gorm(t.Context())
	require.NoError(t, gorm.Exec(`INSERT INTO kafka_requests (id, name, owner, region, status, cloud_provider, created_at, updated_at,
		status_changed_at, next_attempt_at, organisation_id, instance_type, size_id, capacity_consumed, quota_consumed, quota_type,
		max_data_retention_size) VALUES ('k', 'aaa', 'o', 'r', 'ready', 'aws', ?, now(), now(), now(), 'org', 'standard', 'x1', 1, 1, 'q', '1')`,
		time.Now()).Error)
	pieces := rapid.SampledFrom([]string{"name", "like", "ilike", "=", "<>", "in", "not", "(", ")", ",", "'", "''", `\`, `\\`, `\'`,
		"%", "a", "é", "\x00", "\xff", " ", "and", "or", "_", "@name", "?", "$1"})
	rapid.Check(t, func(rt *rapid.T) {
		value := strings.Join(rapid.SliceOfN(pieces, 1, 8).Draw(rt, "pieces"), "")
		text := "name " + rapid.SampledFrom([]string{"like ", "ilike '%", "= ", "in ("}).Draw(rt, "head") + value +
			rapid.SampledFrom([]string{"", "'", ")"}).Draw(rt, "tail")
		filter, err := language().Parse(text)
		if err != nil {
			return
		}
		sql, args := filter.Clause()
		var got []string
		require.NoError(rt, gorm.Table("kafka_requests").Where(sql, args...).Pluck("id", &got).Error, "%q", text)
	})
}

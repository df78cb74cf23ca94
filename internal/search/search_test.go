package search_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/search"
)

const enterpriseOnly = "CASE WHEN namespace = 'enterprise' THEN cluster_id ELSE '' END"

func language() search.Language {
	return search.Language{
		Failure: "unable to list kafka requests",
		Columns: map[string]string{
			"name": "name", "region": "region", "owner": "owner", "status": "status",
			"cloud_provider": "cloud_provider", "cluster_id": enterpriseOnly,
		},
		Order: map[string]string{
			"name": "name", "created_at": "created_at", "id": "id", "href": "id",
			"version": "actual_kafka_version", "admin_api_server_url": "admin_api_server_url",
		},
		Default: "name ASC",
		Unique:  []string{"id", "name"},
	}
}

func TestAcceptedSearches(t *testing.T) {
	t.Parallel()
	joins := strings.Repeat("name = a or ", 10) + "name = a"
	for text, want := range map[string]struct {
		sql  string
		args []any
	}{
		"name = x":                {"(name = ?)", []any{"x"}},
		"name=x":                  {"(name = ?)", []any{"x"}},
		"  NAME\t=\n'x'  ":        {"(name = ?)", []any{"x"}},
		"name<>x":                 {"(name <> ?)", []any{"x"}},
		"name like %a_b%":         {"(name LIKE ?)", []any{"%a_b%"}},
		"name iLike 'A%'":         {"(name ILIKE ?)", []any{"A%"}},
		"name in(a,'b, c' , d)":   {"(name IN (?, ?, ?))", []any{"a", "b, c", "d"}},
		"name IN('a','b')":        {"(name IN (?, ?))", []any{"a", "b"}},
		"name not in ('')":        {"(name NOT IN (?))", []any{""}},
		"name = ''":               {"(name = ?)", []any{""}},
		`name = 'it\'s'`:          {"(name = ?)", []any{"it's"}},
		"name = 'it''s'":          {"(name = ?)", []any{"it's"}},
		"name = ''''":             {"(name = ?)", []any{"'"}},
		`name = 'a\b'`:            {"(name = ?)", []any{`a\b`}},
		`name like 'a\\'`:         {"(name LIKE ?)", []any{`a\\`}},
		`name = a\`:               {"(name = ?)", []any{`a\`}},
		`name like a\%`:           {"(name LIKE ?)", []any{`a\%`}},
		"owner = 'a(b)=<c>, d'":   {"(owner = ?)", []any{"a(b)=<c>, d"}},
		"owner = 'é'":             {"(owner = ?)", []any{"é"}},
		"owner = 'Zoë 漢字 🎉'":      {"(owner = ?)", []any{"Zoë 漢字 🎉"}},
		"owner = é^x":             {"(owner = ?)", []any{"é^x"}},
		"name = and or name = in": {"((name = ?) OR (name = ?))", []any{"and", "in"}},
		"name=a or name=b and owner=c": {
			"((name = ?) OR ((name = ?) AND (owner = ?)))", []any{"a", "b", "c"}},
		"(name=a or name=b)and(owner=c)": {
			"(((name = ?) OR (name = ?)) AND (owner = ?))", []any{"a", "b", "c"}},
		"((name = a))":   {"(name = ?)", []any{"a"}},
		"cluster_id = x": {"(" + enterpriseOnly + " = ?)", []any{"x"}},
	} {
		filter, err := language().Parse(text)
		require.NoError(t, err, text)
		sql, args := filter.Clause()
		require.Equal(t, want.sql, sql, text)
		require.Equal(t, want.args, args, text)
	}
	_, err := language().Parse(joins)
	require.NoError(t, err, "ten joins are allowed")

	cli := "name like %X% or owner like %X% or cloud_provider like %X% or region like %X% or status like %X%"
	filter, err := language().Parse(cli)
	require.NoError(t, err)
	_, args := filter.Clause()
	require.Equal(t, []any{"%X%", "%X%", "%X%", "%X%", "%X%"}, args)

	filter, err = language().Parse("")
	require.NoError(t, err)
	sql, args := filter.Clause()
	require.Empty(t, sql)
	require.Empty(t, args)
}

func TestRejectedSearches(t *testing.T) {
	t.Parallel()
	for text, position := range map[string]string{
		" ":               "[2]",
		"\t\n":            "[3]",
		"name":            "[5]",
		"name =":          "[7]",
		"name = (":        "[8]",
		"name = =":        "[8]",
		"name = a b":      "[10]",
		"name = a, b":     "[9]",
		"name != a":       "[6]",
		"name < a":        "[6]",
		"name > a":        "[6]",
		"name is null":    "[6]",
		"name not like a": "[10]",
		"not name = a":    "[1]",
		`name = "a"`:      "[8]",
		"secret = a":      "[1]",
		"'name' = a":      "[1]",
		"name in ()":      "[10]",
		"name in (,)":     "[10]",
		"name in (a,)":    "[12]",
		"name in (a":      "[11]",
		"name in a":       "[9]",
		"name = a and":    "[13]",
		"name = a and or": "[14]",
		"(name = a":       "[1]",
		"name = a)":       "[9]",
		"()":              "[2]",
		"name = 'a":       "[8]",
		`name = 'x\'`:     "[8]",
		`name like %\`:    "[11]",
		`name ilike a\\\`: "[12]",
		"name = a\x00":    "[9]",
		"name = 'é\x00'":  "[10]",
		"name = \xff":     "[1]",
		strings.Repeat("name = a or ", 11) + "name = a":                "[130]",
		strings.Repeat("name = a or ", 10) + "name not in (a)":         "[126]",
		"name = " + strings.Repeat("a", 1024):                          "[1]",
		strings.Repeat("(", 21) + "name = a" + strings.Repeat(")", 21): "[21]",
	} {
		_, err := language().Parse(text)
		require.True(t, apierr.Is(err, apierr.SearchMalformed), "%q: %v", text, err)
		require.Contains(t, apierr.From(err).Reason, "unable to list kafka requests: "+position+" error parsing the filter: ", text)
		require.True(t, strings.HasPrefix(apierr.From(err).Reason, "unable to list"), "no default text before it")
	}
}

func TestUserTextIsNoFormat(t *testing.T) {
	t.Parallel()
	_, err := language().Parse("%s%d = x")
	require.Contains(t, apierr.From(err).Reason, "'%s%d'")
}

// A refusal quotes the text, which is in the reply and in the log then.
func TestRefusalsAreBoundedAsAllOthers(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1024)
	_, inSearch := language().Parse(long)
	_, inOrder := language().ParseOrder(long)
	for _, err := range []error{inSearch, inOrder} {
		reason := apierr.From(err).Reason
		require.True(t, strings.HasPrefix(reason, "unable to list kafka requests: "), reason)
		require.LessOrEqual(t, len(reason), len(apierr.From(apierr.New(apierr.BadRequest, strings.Repeat("x", 1<<20))).Reason))
	}
}

func TestOrders(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                          "name ASC",
		"name":                      "name ASC",
		" NAME \t DESC ":            "name DESC",
		"created_at desc,name  asc": "created_at DESC, name ASC",
		"created_at":                "created_at ASC, id ASC",
		"name, created_at, href":    "name ASC",
		"href desc":                 "id DESC",
		"version":                   "actual_kafka_version ASC, id ASC",
		"admin_api_server_url":      "admin_api_server_url ASC, id ASC",
	} {
		got, err := language().ParseOrder(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
	}
	for _, text := range []string{" ", ",", "name,", ",name", "name,,id", "secret", "name up", "name asc asc", "name;drop",
		"desc", "name\x00", "\xff", strings.Repeat("name,", 300) + "name"} {
		_, err := language().ParseOrder(text)
		require.True(t, apierr.Is(err, apierr.Malformed), "%q", text)
		require.True(t, strings.HasPrefix(apierr.From(err).Reason, "unable to list kafka requests: "))
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"name = x", "name in ('a',b) and (owner like %x% or region<>'')", `name = 'a\'b''c'`,
		"name not in (é)", "((name=a)", "name like %\\", "name = '\x00'", "cluster_id ilike 'X_\\\\'"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		filter, err := language().Parse(text)
		if err != nil {
			require.True(t, apierr.Is(err, apierr.SearchMalformed))
			return
		}
		sql, args := filter.Clause()
		require.Equal(t, strings.Count(sql, "?"), len(args))
		// Whatever is left when the known words are taken away came from the client.
		rest := strings.NewReplacer(enterpriseOnly, "", "cloud_provider", "", "name", "", "region", "", "owner", "", "status", "",
			"NOT IN", "", "ILIKE", "", "LIKE", "", "AND", "", "IN", "", "OR", "").Replace(sql)
		require.Empty(t, strings.Trim(rest, "()<>=?, "))
		for _, arg := range args {
			require.NotContains(t, arg, "\x00")
		}
	})
}

func FuzzParseOrder(f *testing.F) {
	for _, seed := range []string{"", "name", "name desc, created_at", "href asc,", "version DESC", "id;"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		order, err := language().ParseOrder(text)
		if err != nil {
			require.True(t, apierr.Is(err, apierr.Malformed))
			return
		}
		for _, term := range strings.Split(order, ", ") {
			require.Regexp(t, `^(name|created_at|id|actual_kafka_version|admin_api_server_url) (ASC|DESC)$`, term)
		}
		require.Regexp(t, `(^|, )(id|name) (ASC|DESC)$`, order)
	})
}

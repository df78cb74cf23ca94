package kafka

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kas-fleet/kas-fleet-manager/internal/apierr"
	"github.com/kas-fleet/kas-fleet-manager/internal/clock"
)

func fleetNames(p FleetPage) (all []string) {
	for _, k := range p.Rows {
		all = append(all, k.Name)
	}
	return all
}

// Administrators see everybody's instances, those that customers do not see yet
// included, and none that is gone.
func TestTheFleetIsWholeForAdministrators(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	gone := clock.System()
	for i, status := range []Status{Ready, Reserving, Failed, Deleting, Suspended} {
		k := row(fmt.Sprintf("n%d", i), status)
		k.OrganisationID, k.ClusterID, k.Owner = fmt.Sprintf("org%d", i%2), fmt.Sprintf("c%d", i%2), fmt.Sprintf("owner%d", i)
		put(t, o.d, k)
	}
	dead := row("dead", Deleting)
	dead.DeletedAt = &gone
	put(t, o.d, dead)

	ask := func(q Query) FleetPage {
		page, err := o.ListFleet(bound(t), q)
		require.NoError(t, err, "%+v", q)
		return page
	}
	whole := ask(Query{Limit: 100})
	require.Equal(t, []string{"n0", "n1", "n2", "n3", "n4"}, fleetNames(whole))
	require.Equal(t, 5, whole.Total)
	for _, c := range []struct {
		q     Query
		names []string
		total int
	}{
		{Query{Limit: 2}, []string{"n0", "n1"}, 5},
		{Query{Limit: 2, Offset: 4}, []string{"n4"}, 5},
		{Query{Limit: 2, Offset: 8}, nil, 5},
		{Query{Limit: 9, OrderBy: "organisation_id desc, name desc"}, []string{"n3", "n1", "n4", "n2", "n0"}, 5},
		{Query{Limit: 9, OrderBy: "status,href"}, []string{"n3", "n2", "n0", "n1", "n4"}, 5},
		{Query{Limit: 9, Search: "status = reserving"}, []string{"n1"}, 1},
		{Query{Limit: 1, Search: "organisation_id = org0", OrderBy: "name desc"}, []string{"n4"}, 3},
		{Query{Limit: 9, Search: "cluster_id = c1 and owner <> owner1"}, []string{"n3"}, 1},
		{Query{Limit: 9, Search: "name = dead or name = n0"}, []string{"n0"}, 1},
		{Query{Limit: 9, Search: "quota_type like quota-% and size_id = x1"}, []string{"n0", "n1", "n2", "n3", "n4"}, 5},
		{Query{Limit: 9, Search: "name = nobody"}, nil, 0},
	} {
		page := ask(c.q)
		require.Equal(t, c.names, fleetNames(page), "%+v", c.q)
		require.Equal(t, c.total, page.Total, "%+v", c.q)
	}
	for text, code := range map[string]apierr.Code{"nothing = x": apierr.SearchMalformed, "canary_service_account_client_secret like a%": apierr.SearchMalformed} {
		_, err := o.ListFleet(bound(t), Query{Limit: 1, Search: text})
		require.True(t, apierr.Is(err, code), text)
	}
	_, err := o.ListFleet(bound(t), Query{Limit: 1, OrderBy: "last_error"})
	require.True(t, apierr.Is(err, apierr.Malformed))

	for _, k := range whole.Rows {
		one, err := o.GetInFleet(bound(t), k.ID)
		require.NoError(t, err)
		require.Equal(t, k, one)
	}
	for _, id := range []ID{dead.ID, "none", ""} {
		_, err = o.GetInFleet(bound(t), id)
		require.True(t, apierr.Is(err, apierr.NotFound))
		require.ErrorContains(t, err, "KafkaResource with id='"+string(id)+"' not found")
	}
}

// Every column that can be searched or sorted by exists and is compared as a text.
func TestAllColumnsOfTheFleetsLanguageExist(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	put(t, o.d, row("one", Ready))
	for name := range fleetLanguage.Columns {
		_, err := o.ListFleet(bound(t), Query{Limit: 1, Search: name + " like %"})
		require.NoError(t, err, name)
	}
	for name := range fleetLanguage.Order {
		_, err := o.ListFleet(bound(t), Query{Limit: 1, OrderBy: name})
		require.NoError(t, err, name)
	}
	for name := range language.Columns {
		require.Contains(t, fleetLanguage.Columns, name, "what customers may do, administrators may")
	}
	for name := range language.Order {
		require.Contains(t, fleetLanguage.Order, name)
	}
}

// A name says which instance within an organisation only.
func TestOnlyCustomersPagesEndTheirOrderWithTheName(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "name", "name, created_at"} {
		customers, err := language.ParseOrder(text)
		require.NoError(t, err)
		require.Equal(t, "name ASC", customers)
		fleet, err := fleetLanguage.ParseOrder(text)
		require.NoError(t, err)
		require.True(t, strings.HasSuffix(fleet, ", id ASC"), fleet)
	}
}

// What is read for administrators is what the row holds: no two columns are mixed up.
func TestTheFleetIsReadColumnByColumn(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	k := row("one", Failed)
	v := reflect.ValueOf(&k).Elem()
	for _, name := range strings.Fields("ClusterID OwnerAccountID SubscriptionID Namespace BootstrapServerHost DesiredKafkaVersion ActualKafkaVersion " +
		"DesiredStrimziVersion ActualStrimziVersion DesiredKafkaIBPVersion ActualKafkaIBPVersion FailedReason FailedDetail LastError") {
		v.FieldByName(name).SetString("the " + name)
	}
	k.MultiAZ, k.KafkaUpgrading, k.RoutesCreated = true, true, true
	k.Routes = Routes{{"a.test", "b.test"}}
	k.UpdatedAt = k.CreatedAt.Add(time.Hour)
	put(t, o.d, k)
	for range 3 {
		whole, err := o.Store.Live(bound(t), k.ID)
		require.NoError(t, err)
		narrow, err := o.GetInFleet(bound(t), k.ID)
		require.NoError(t, err)
		want, got := reflect.ValueOf(whole), reflect.ValueOf(narrow)
		for i := range got.NumField() {
			if name := got.Type().Field(i).Name; !got.Field(i).IsZero() || fleetShows(name) {
				require.Equal(t, want.Field(i).Interface(), got.Field(i).Interface(), name)
			}
		}
		// Another of the three flags, which look alike.
		require.NoError(t, o.d.Gorm(bound(t)).Exec("UPDATE kafka_requests SET kafka_upgrading = strimzi_upgrading, strimzi_upgrading = NOT kafka_ibp_upgrading AND kafka_upgrading, "+
			"kafka_ibp_upgrading = strimzi_upgrading, routes = NULL WHERE id = ?", k.ID).Error)
	}
}

// fleetShows tells whether a field is among those that administrators are shown.
func fleetShows(field string) bool {
	switch field {
	case "KafkaUpgrading", "StrimziUpgrading", "KafkaIBPUpgrading", "RoutesCreated", "MultiAZ", "Routes":
		return true
	}
	return false
}

func TestTrouble(t *testing.T) {
	t.Parallel()
	for want, k := range map[string]Kafka{
		"":              {Status: Ready, LastError: "long ago"},
		"told":          {Status: Failed, FailedReason: "told", LastError: "another"},
		"told: meant":   {Status: Failed, FailedReason: "told", FailedDetail: "meant"},
		"meant":         {Status: Failed, FailedDetail: "meant"},
		"no room":       {Status: Accepted, LastError: "no room"},
		"half way":      {Status: Reserving, LastError: "half way"},
		"still waiting": {Status: Deleting, LastError: "still waiting"},
	} {
		require.Equal(t, want, k.Trouble())
	}
	require.Empty(t, Kafka{Status: Suspended, LastError: "long ago"}.Trouble())
}

// Numbers of accounts are never worth an error or a wait.
func TestAccountNumbersAreOnlyForReadingAlong(t *testing.T) {
	t.Parallel()
	o := newOffice(t, "")
	var asked [][]string
	var problem error
	o.Numbers = func(ctx context.Context, organisations []string) (map[string]string, error) {
		deadline, limited := ctx.Deadline()
		require.True(t, limited && time.Until(deadline) <= 2*time.Second)
		asked = append(asked, organisations)
		return map[string]string{"a": "1"}, problem
	}
	rows := []Kafka{{OrganisationID: "b"}, {OrganisationID: "a"}, {OrganisationID: "b"}}
	require.Equal(t, map[string]string{"a": "1"}, o.AccountNumbers(bound(t), rows...))
	require.Empty(t, o.AccountNumbers(bound(t)))
	require.Equal(t, [][]string{{"a", "b"}}, asked, "each once, and nobody for nothing")
	require.NotContains(t, strings.Join(o.logs.all(), "\n"), "account numbers")
	problem = errors.New("no connection")
	require.Equal(t, map[string]string{"a": "1"}, o.AccountNumbers(bound(t), rows...))
	require.Contains(t, o.logs.all()[0], `"msg":"account numbers are left out"`)
	require.Len(t, o.logs.all(), 1)
}

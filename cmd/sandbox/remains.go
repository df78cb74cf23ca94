package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// lookUp asks the sandbox's resolver, as a customer asks the DNS.
func (w *world) lookUp(ctx context.Context, host string) (found resolution, err error) {
	where := address(w.ports.Admin) + "/resolve?" + url.Values{"host": {host}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, http.NoBody)
	if err != nil {
		return found, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return found, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return found, fmt.Errorf("resolving %s: no such host", host)
	}
	return found, json.NewDecoder(resp.Body).Decode(&found)
}

// records are the DNS records that concern the Kafka.
func (t *story) records() []string {
	var lines []string
	for _, r := range t.world.upstreams.Route53.Records(kafkaZone) {
		if strings.HasSuffix(r.Name, t.bootstrap()) {
			lines = append(lines, fmt.Sprintf("%s %s %s", r.Name, r.Type, strings.Join(r.Values, " ")))
		}
	}
	return lines
}

// ssoClients are the clients of the SSO that belong to the Kafka.
func (t *story) ssoClients() []string {
	var ids []string
	for _, c := range t.world.upstreams.SSO.Clients(t.world.settings.accountRealm()) {
		if strings.Contains(strings.ToLower(c.ClientID+" "+c.Name), strings.ToLower(t.kafka.ID)) {
			ids = append(ids, c.ClientID)
		}
	}
	return ids
}

// inspect shows that the Kafka left nothing behind but its history.
func (t *story) inspect(ctx context.Context) (string, error) {
	if left := t.records(); len(left) > 0 {
		return "", fmt.Errorf("DNS records are left: %s", strings.Join(left, ", "))
	}
	if _, err := t.world.lookUp(ctx, t.bootstrap()); err == nil {
		return "", fmt.Errorf("%s still resolves", t.bootstrap())
	}
	t.world.say("DNS: no record of %s", t.bootstrap())
	if left := t.ssoClients(); len(left) > 0 {
		return "", fmt.Errorf("SSO clients are left: %s", strings.Join(left, ", "))
	}
	t.world.say("SSO: no client of %s", t.kafka.ID)
	conn, err := pgx.Connect(ctx, t.world.database.url)
	if err != nil {
		return "", fmt.Errorf("reaching the database: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := t.inspectRow(ctx, conn); err != nil {
		return "", err
	}
	if err := t.inspectLedger(ctx, conn); err != nil {
		return "", err
	}
	return "no DNS record, no SSO client, row soft-deleted", t.showHistory(ctx, conn)
}

func (t *story) inspectRow(ctx context.Context, conn *pgx.Conn) error {
	var status string
	var deleted *time.Time
	err := conn.QueryRow(ctx, "SELECT status, deleted_at FROM kafka_requests WHERE id = $1", t.kafka.ID).Scan(&status, &deleted)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return errors.New("the row is gone, though it should be kept as deleted")
	case err != nil:
		return fmt.Errorf("reading the row: %w", err)
	case deleted == nil:
		return fmt.Errorf("the row is not marked as deleted, its status is %s", status)
	}
	t.world.say("database: kafka_requests row kept, status %s, deleted_at %s", status, deleted.UTC().Format(time.RFC3339))
	return nil
}

func (t *story) inspectLedger(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, "SELECT kind || ' ' || key, state FROM external_resources WHERE owner_id = $1 ORDER BY seq", t.kafka.ID)
	if err != nil {
		return fmt.Errorf("reading the ledger: %w", err)
	}
	type entry struct{ Name, State string }
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByPos[entry])
	if err != nil {
		return fmt.Errorf("reading the ledger: %w", err)
	}
	if len(entries) == 0 {
		return errors.New("the ledger knows nothing of the Kafka")
	}
	for _, e := range entries {
		if e.State != "gone" {
			return fmt.Errorf("the ledger has %s as %s", e.Name, e.State)
		}
		t.world.say("ledger: %s is gone", e.Name)
	}
	return nil
}

// showHistory tells every change of status that the database recorded.
func (t *story) showHistory(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, "SELECT event, from_status, to_status, at FROM kafka_events WHERE kafka_id = $1 ORDER BY id", t.kafka.ID)
	if err != nil {
		return fmt.Errorf("reading the history: %w", err)
	}
	type entry struct {
		Event, From, To string
		At              time.Time
	}
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByPos[entry])
	if err != nil {
		return fmt.Errorf("reading the history: %w", err)
	}
	for _, e := range entries {
		t.world.say("history: +%.2fs %s: %s → %s", e.At.Sub(entries[0].At).Seconds(), e.Event, cmp.Or(e.From, "(nothing)"), e.To)
	}
	return nil
}

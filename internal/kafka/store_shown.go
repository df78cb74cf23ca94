package kafka

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

// Stamp names one state of a row: any write of it gives another one.
type Stamp struct {
	ID      ID
	Version int64
	Write   uint32 // the transaction that wrote the row, so that a write by hand counts too
}

// Stamped is a row as it was read and the stamp of that state.
type Stamped struct {
	Kafka

	Stamp  Stamp
	Spoilt error // why the size snapshot is not all there; only a write by hand can be the cause
}

// Filter is which instances of whom a list shows.
type Filter struct {
	OrganisationID string
	Where          string // a parenthesised predicate of the search language; empty: none
	Args           []any
	Order          string // an ORDER BY text of the search language
	Offset, Limit  int
}

// Page is one page of a list.
type Page struct {
	Stamps []Stamp
	Rows   []Stamped // those of a search; of a plain list they are read with Shown
	Total  int       // of all rows that match
}

// List gives one page. What comes first tells the total by itself if it is not
// full. A plain list reads stamps only, since most of its rows were shown before; a
// search mostly finds few rows, for which a second statement would cost more.
func (s *Store) List(ctx context.Context, f Filter) (p Page, err error) {
	where, args := "organisation_id = ? AND "+shown, append([]any{f.OrganisationID}, f.Args...)
	if f.Where != "" {
		where += " AND " + f.Where
	}
	window, windowed := f.window(args)
	if f.Where == "" {
		p.Stamps, err = db.Collect(ctx, s.db, scanStamp,
			"SELECT id, version, xmin FROM kafka_requests WHERE "+where+window, windowed...)
	} else {
		p.Rows, err = db.Collect(ctx, s.db, scanPublic(&s.sizes),
			"SELECT "+publicColumns+" FROM kafka_requests WHERE "+where+window, windowed...)
		for _, row := range p.Rows {
			p.Stamps = append(p.Stamps, row.Stamp)
		}
	}
	if err != nil {
		return Page{}, fmt.Errorf("listing instances: %w", err)
	}
	count := "SELECT count(*) FROM kafka_requests WHERE " + where
	if f.Where == "" { // all live rows of the organisation are counted already; those that are hidden are few
		count, args = `SELECT coalesce(sum(instances), 0)::bigint - (SELECT count(*) FROM kafka_requests
			WHERE status = 'reserving' AND organisation_id = ? AND deleted_at IS NULL)
			FROM kafka_usage WHERE organisation_id = ?`, []any{f.OrganisationID, f.OrganisationID}
	}
	p.Total, err = s.total(ctx, f, len(p.Stamps), count, args...)
	return p, err
}

// window is the end of a page's statement, with all its arguments. A first page has no
// offset: PostgreSQL takes one that it does not know for a long way, and would rather
// plan each such statement anew.
func (f Filter) window(args []any) (string, []any) {
	sql, args := " ORDER BY "+f.Order+" LIMIT ?", append(slices.Clone(args), f.Limit)
	if f.Offset > 0 {
		sql, args = sql+" OFFSET ?", append(args, f.Offset)
	}
	return sql, args
}

// total tells how many rows match, of which a page was read. A page that is not full
// tells it by itself.
func (s *Store) total(ctx context.Context, f Filter, have int, count string, args ...any) (int, error) {
	if have < f.Limit && (have > 0 || f.Offset == 0) {
		return f.Offset + have, nil
	}
	counted, err := db.Collect(ctx, s.db, scanOne[int], count, args...)
	if err != nil {
		return 0, fmt.Errorf("counting instances: %w", err)
	}
	if have == 0 {
		return counted[0], nil
	}
	return max(f.Offset+have, counted[0]), nil // rows may have gone meanwhile; the page that was read counts
}

// shown are the rows that customers may see: a row in reserving is no order yet.
const shown = "deleted_at IS NULL AND status <> 'reserving'"

// Columns that a customer's reply is made of: secrets and what only loops need stay in the database.
const publicColumns = "xmin, id, created_at, updated_at, version, name, status, cloud_provider, region, multi_az, cluster_id, owner, " +
	"owner_account_id, organisation_id, instance_type, size_id, size_snapshot, actual_kafka_billing_model, " +
	"desired_kafka_billing_model, billing_cloud_account_id, marketplace, promotion_status, promotion_details, expires_at, " +
	"max_data_retention_size, reauthentication_enabled, bootstrap_server_host, admin_api_server_url, actual_kafka_version, " +
	"routes_created, failed_reason"

func scanPublic(sizes *snapshots) func(db.Row) (Stamped, error) {
	return func(row db.Row) (s Stamped, err error) {
		var size []byte
		k := &s.Kafka
		err = row.Scan(&s.Stamp.Write, (*string)(&k.ID), &k.CreatedAt, &k.UpdatedAt, &k.Version, &k.Name, (*string)(&k.Status), &k.CloudProvider, &k.Region, &k.MultiAZ,
			&k.ClusterID, &k.Owner, &k.OwnerAccountID, &k.OrganisationID, &k.InstanceType, &k.SizeID, &size, &k.ActualKafkaBillingModel,
			&k.DesiredKafkaBillingModel, &k.BillingCloudAccountID, &k.Marketplace, &k.PromotionStatus, &k.PromotionDetails, &k.ExpiresAt,
			&k.MaxDataRetentionSize, &k.ReauthenticationEnabled, &k.BootstrapServerHost, &k.AdminAPIServerURL, &k.ActualKafkaVersion,
			&k.RoutesCreated, &k.FailedReason)
		s.Stamp.ID, s.Stamp.Version = k.ID, k.Version
		k.SizeSnapshot, s.Spoilt = sizes.read(size)
		return s, err
	}
}

// Shown gives those of the instances that are the organisation's, with the columns of a customer's reply.
func (s *Store) Shown(ctx context.Context, organisationID string, ids []ID) ([]Stamped, error) {
	rows, err := db.Collect(ctx, s.db, scanPublic(&s.sizes),
		"SELECT "+publicColumns+" FROM kafka_requests WHERE id = ANY(?) AND organisation_id = ?", ids, organisationID)
	if err != nil {
		return nil, fmt.Errorf("reading listed instances: %w", err)
	}
	return rows, nil
}

// InOrganisation finds a live instance of an organisation, with the columns of a customer's reply.
func (s *Store) InOrganisation(ctx context.Context, organisationID string, id ID) (Kafka, error) {
	rows, err := db.Collect(ctx, s.db, scanPublic(&s.sizes),
		"SELECT "+publicColumns+" FROM kafka_requests WHERE id = ? AND organisation_id = ? AND "+shown, id, organisationID)
	if err != nil {
		return Kafka{}, fmt.Errorf("finding an instance: %w", err)
	}
	if len(rows) == 0 {
		return Kafka{}, ErrNotFound
	}
	return rows[0].Kafka, nil
}

// NamespaceInOrganisation gives the namespace of a live instance of an organisation.
func (s *Store) NamespaceInOrganisation(ctx context.Context, organisationID string, id ID) (string, error) {
	rows, err := db.Collect(ctx, s.db, scanOne[string],
		"SELECT namespace FROM kafka_requests WHERE id = ? AND organisation_id = ? AND "+shown, id, organisationID)
	if err != nil {
		return "", fmt.Errorf("finding the namespace of an instance: %w", err)
	}
	if len(rows) == 0 {
		return "", ErrNotFound
	}
	return rows[0], nil
}

func scanStamp(row db.Row) (s Stamp, err error) {
	err = row.Scan(&s.ID, &s.Version, &s.Write)
	return s, err
}

func scanOne[T any](row db.Row) (one T, err error) {
	err = row.Scan(&one)
	return one, err
}

// snapshots keeps what size snapshots were read as. There are as many as the
// configuration has had sizes, which change rarely.
type snapshots struct {
	mu    sync.RWMutex
	known map[string]SizeSnapshot
}

// maxSnapshots bounds what is kept, should somebody write others by hand.
const maxSnapshots = 512

// read gives what can be read, also with an error.
func (s *snapshots) read(raw []byte) (SizeSnapshot, error) {
	s.mu.RLock()
	known, found := s.known[string(raw)]
	s.mu.RUnlock()
	if found {
		return known, nil
	}
	var fresh SizeSnapshot
	if err := fresh.Scan(raw); err != nil {
		return fresh, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= maxSnapshots {
		s.known = map[string]SizeSnapshot{}
	}
	s.known[string(raw)] = fresh
	return fresh, nil
}

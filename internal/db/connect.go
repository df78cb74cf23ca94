package db

import (
	"context"
	"database/sql/driver"
	"errors"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/kas-fleet/kas-fleet-manager/internal/crash"
)

// applicationName is what operators see in pg_stat_activity.
const applicationName = "kas-fleet-manager"

// The server's own limits on every connection. A process that hangs or is paused
// in a transaction loses it after two seconds instead of blocking its successor.
var serverLimits = map[string]string{
	"idle_in_transaction_session_timeout": "2s",
	"statement_timeout":                   "5s",
	"lock_timeout":                        "2s",
	"timezone":                            "UTC",
	// Statements here are short: neither compiling them nor starting helpers pays.
	"jit":                             "off",
	"max_parallel_workers_per_gather": "0",
}

// peerSilence is how long a peer may say nothing before it counts as gone.
const peerSilence = 10 * time.Second

// dialer makes connections on which a peer that vanished without a word is
// noticed, whether they are idle or not.
func dialer() *net.Dialer {
	return &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 4 * time.Second, Interval: 2 * time.Second, Count: 3},
		Control:         boundSilence,
	}
}

// connection turns the configuration into that of one connection.
func (c *Config) connection() (*pgx.ConnConfig, error) {
	text, err := c.url()
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ParseConfig(text.Reveal())
	if err != nil {
		// The cause quotes parts of the text, and the password is one.
		return nil, errors.New("DATABASE_URL or the db-*-file values: not a usable connection string (not shown, it holds a password)")
	}
	for name, value := range serverLimits {
		conn.RuntimeParams[name] = value
	}
	if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = applicationName
	}
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = 5 * time.Second
	}
	conn.Tracer = crash.Tracer(nil) // the pool has its own
	conn.DialFunc = dialer().DialContext
	if conn.ValidateConnect == nil {
		// After a fail-over the old primary may come back as a standby.
		conn.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	return conn, nil
}

// readTimesAsUTC makes rows read back equal to what clock.System stored.
func readTimesAsUTC(_ context.Context, conn *pgx.Conn) error {
	conn.TypeMap().RegisterType(&pgtype.Type{
		Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
	})
	return nil
}

// refuseReadOnly drops a pooled connection whose server has turned read-only, so
// that a fail-over does not leave a pool on which each write fails. The server
// reports both parameters by itself: the check costs no round trip.
func refuseReadOnly(_ context.Context, conn *pgx.Conn) error {
	for _, parameter := range []string{"in_hot_standby", "default_transaction_read_only"} {
		if conn.PgConn().ParameterStatus(parameter) == "on" {
			return driver.ErrBadConn
		}
	}
	return nil
}

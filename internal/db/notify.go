package db

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// notifyBacklog bounds what waits while the database is away; the loops' ticks find the rest.
	notifyBacklog = 10_000
	notifyTimeout = 2 * time.Second
	// notifyFarewell is how long the last notifications may take when the process ends.
	notifyFarewell = time.Second
)

type note struct{ channel, payload string }

// notifier sends the notifications of committed transactions, over a connection
// of its own so that they do not queue behind requests. It sends after the
// commit: inside, PostgreSQL would hold one lock of the whole server until the
// flush to disk is over, and all transactions that notify would wait for each
// other. What is lost when the process dies in between, the loops' ticks find.
type notifier struct {
	config *pgx.ConnConfig
	logger *slog.Logger
	more   chan struct{} // there is something to send; holds one
	stop   context.CancelFunc
	ended  chan struct{}

	mu      sync.Mutex
	backlog []note
	here    map[string]func(payload string) bool // by channel
}

// TakeHere lets this process take notifications of a channel that its own
// transactions send. take must not block. Where it refuses one, that goes to the
// listeners of all processes, like those of channels that nobody takes here.
func (d *DB) TakeHere(channel string, take func(payload string) bool) {
	d.notifier.mu.Lock()
	defer d.notifier.mu.Unlock()
	d.notifier.here[channel] = take
}

func startNotifier(config *pgx.ConnConfig, logger *slog.Logger) *notifier {
	ctx, stop := context.WithCancel(context.Background())
	n := &notifier{config: config, logger: logger, more: make(chan struct{}, 1), stop: stop, ended: make(chan struct{}), here: map[string]func(string) bool{}}
	go n.run(ctx)
	return n
}

// add takes over what to send and returns at once.
func (n *notifier) add(notes []note) {
	if len(notes) == 0 {
		return
	}
	n.mu.Lock()
	fits := min(len(notes), notifyBacklog-len(n.backlog))
	n.backlog = append(n.backlog, notes[:fits]...)
	n.mu.Unlock()
	if fits < len(notes) {
		n.lost(len(notes)-fits, errBacklog)
	}
	select {
	case n.more <- struct{}{}:
	default: // it is told already
	}
}

var errBacklog = errors.New("too many wait already")

func (n *notifier) lost(count int, cause error) {
	n.logger.Warn("notifications were lost, the next ticks will find what they told", "count", count, "error", cause)
}

// take gives what waits and is not taken in this process.
func (n *notifier) take() []note {
	n.mu.Lock()
	waiting, here := n.backlog, maps.Clone(n.here)
	n.backlog = nil
	n.mu.Unlock()
	return slices.DeleteFunc(waiting, func(note note) bool {
		take := here[note.channel]
		return take != nil && take(note.payload)
	})
}

// close sends what is left, if that goes fast, and ends the notifier.
func (n *notifier) close() {
	n.stop()
	<-n.ended
}

func (n *notifier) run(ctx context.Context) {
	defer close(n.ended)
	var conn *pgx.Conn
	for running := true; running; {
		timeout := notifyTimeout
		select {
		case <-n.more:
		case <-ctx.Done():
			running, timeout = false, notifyFarewell
		}
		if notes := n.take(); len(notes) > 0 {
			conn = n.deliver(conn, notes, timeout)
		}
	}
	if conn != nil {
		hangUp(conn)
	}
}

// deliver sends the notes, once more over a new connection if the present one
// turns out to be dead. It gives the connection to go on with, or nil.
func (n *notifier) deliver(conn *pgx.Conn, notes []note, timeout time.Duration) *pgx.Conn {
	var err error
	for fresh := conn == nil; ; fresh = true {
		if conn, err = n.attempt(conn, notes, timeout); err == nil {
			return conn
		}
		if fresh {
			n.lost(len(notes), err)
			return nil
		}
	}
}

// attempt has a timeout of its own: a connection that is dead without a word uses all of it.
func (n *notifier) attempt(conn *pgx.Conn, notes []note, timeout time.Duration) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if conn == nil {
		var err error
		if conn, err = pgx.ConnectConfig(ctx, n.config); err != nil {
			return nil, err
		}
	}
	if err := send(ctx, conn, notes); err != nil {
		hangUp(conn)
		return nil, err
	}
	return conn, nil
}

// send sends all notes in one transaction that writes nothing, so its commit
// flushes nothing.
func send(ctx context.Context, conn *pgx.Conn, notes []note) error {
	channels, payloads := make([]string, len(notes)), make([]string, len(notes))
	for i, note := range notes {
		channels[i], payloads[i] = note.channel, note.payload
	}
	_, err := conn.Exec(ctx, "SELECT pg_notify(channel, payload) FROM unnest($1::text[], $2::text[]) AS note (channel, payload)", channels, payloads)
	return err
}

func hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), notifyFarewell)
	defer cancel()
	_ = conn.Close(ctx) // the server notices the end by itself too
}

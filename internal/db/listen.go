package db

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	listenSilence  = 30 * time.Second // then the connection is tried with a ping
	listenTimeout  = 5 * time.Second  // for each round trip of a listener
	listenFirstGap = 50 * time.Millisecond
	listenLastGap  = 5 * time.Second
)

// Listen hands the payloads of a channel to onNotify until ctx ends, over a
// connection of its own that is made again when it breaks. What was sent while it
// was broken is lost, so onConnect, called after each (re)connect and before the
// first notification, must look for what it may have missed. Both functions run
// on the listener's goroutine and must not block. It returns nil when ctx ends.
func (d *DB) Listen(ctx context.Context, channel string, onConnect func(), onNotify func(payload string)) error {
	gap := listenFirstGap
	for {
		err := d.listenOnce(ctx, channel, func() { gap = listenFirstGap; onConnect() }, onNotify)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // a listener that was asked to end has not failed
		}
		d.logger.WarnContext(ctx, "listener lost its connection", "channel", channel, "error", err)
		pause := time.NewTimer(gap/2 + rand.N(gap/2))
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
		gap = min(2*gap, listenLastGap)
	}
}

func (d *DB) listenOnce(ctx context.Context, channel string, onConnect func(), onNotify func(string)) error {
	conn, err := d.listener(ctx, channel)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	onConnect()
	for {
		waiting, cancel := context.WithTimeout(ctx, listenSilence)
		n, err := conn.WaitForNotification(waiting)
		quiet := waiting.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case err == nil:
			onNotify(n.Payload)
		case quiet && !conn.IsClosed():
			if err := within(ctx, conn.Ping); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

func (d *DB) listener(ctx context.Context, channel string) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, listenTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, d.conn)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{channel}.Sanitize()); err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	return conn, nil
}

func within(ctx context.Context, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, listenTimeout)
	defer cancel()
	return fn(ctx)
}

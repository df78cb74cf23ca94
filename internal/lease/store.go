package lease

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/kas-fleet/kas-fleet-manager/internal/db"
)

// callTimeout bounds each statement about the lease.
const callTimeout = 5 * time.Second

// lockKey names the lock that fenced transactions share and a take-over needs
// alone. Renewals take none, so long transactions never cost a leader its lease.
func (l *Lease) lockKey() string { return "lease:" + l.leaseType }

// contend takes the lease over if it has expired. If it has not, it says when to
// look again. It looks before it locks: a contender that asked for the lock in
// vain would stop the leader's transactions meanwhile.
func (l *Lease) contend(ctx context.Context) (*Term, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	left, err := l.left(ctx)
	if err != nil {
		return nil, 0, err
	}
	if left > 0 {
		// At the moment of expiry, but not all contenders at the same one.
		return nil, min(left, l.o.Renew) + rand.N(l.o.TTL/20+1), nil
	}
	term, err := l.takeOver(ctx)
	return term, rand.N(l.o.Renew/2 + 1), err
}

// left is how long the lease still lasts by the database's clock. The row is made
// if a lease of this type is new.
func (l *Lease) left(ctx context.Context) (time.Duration, error) {
	var seconds []float64
	err := l.db.Gorm(ctx).Raw(
		"SELECT greatest(0, extract(epoch FROM expires - clock_timestamp()))::float8 FROM leader_leases WHERE lease_type = ?",
		l.leaseType).Scan(&seconds).Error
	if err == nil && len(seconds) == 0 {
		err = l.db.Gorm(ctx).Exec(
			"INSERT INTO leader_leases (lease_type, expires) VALUES (?, 'epoch') ON CONFLICT DO NOTHING", l.leaseType).Error
		seconds = []float64{0}
	}
	if err != nil {
		return 0, fmt.Errorf("looking at the lease: %w", err)
	}
	return time.Duration(seconds[0] * float64(time.Second)), nil
}

// takeOver begins a new term if the lease has expired; else the term is nil.
func (l *Lease) takeOver(ctx context.Context) (*Term, error) {
	sent := time.Now()
	var won []struct {
		Term  string
		Epoch int64
	}
	err := l.db.Tx(ctx, func(tx db.Tx) error {
		if err := tx.Lock(l.lockKey()); err != nil {
			return err
		}
		return tx.Gorm().Raw(`
			UPDATE leader_leases
			SET leader = ?, term = gen_random_uuid(), epoch = epoch + 1, expires = clock_timestamp() + make_interval(secs => ?)
			WHERE lease_type = ? AND expires <= clock_timestamp()
			RETURNING term::text, epoch`, l.holder, l.o.TTL.Seconds(), l.leaseType).Scan(&won).Error
	})
	if err != nil {
		return nil, fmt.Errorf("taking the lease over: %w", err)
	}
	if len(won) == 0 {
		return nil, nil
	}
	t := &Term{lease: l, id: won[0].Term, epoch: won[0].Epoch}
	t.trustFrom(sent)
	return t, nil
}

// renew prolongs the term, or says ErrLost when it is not the row's any more.
func (t *Term) renew(ctx context.Context) error {
	ctx, cancel := context.WithDeadline(ctx, *t.trusted.Load())
	defer cancel()
	sent := time.Now()
	result := t.lease.db.Gorm(ctx).Exec(`
		UPDATE leader_leases SET expires = clock_timestamp() + make_interval(secs => ?)
		WHERE lease_type = ? AND term = ?::uuid AND expires > clock_timestamp()`,
		t.lease.o.TTL.Seconds(), t.lease.leaseType, t.id)
	if result.Error != nil {
		return fmt.Errorf("renewing the lease: %w", result.Error)
	}
	if result.RowsAffected == 0 {
		return ErrLost
	}
	t.trustFrom(sent)
	return nil
}

// resign ends the term now, if it is still the row's, and tells the others. It
// tries again at once: connections that the server has cut show only when they
// are used, and the others would wait for the lease to expire.
func (l *Lease) resign(ctx context.Context, term *Term) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resignTimeout)
	defer cancel()
	var err error
	for range resignAttempts {
		if err = l.giveUp(ctx, term); err == nil {
			return
		}
	}
	l.logger.WarnContext(ctx, "resigning the lease failed, it will expire", "error", err)
}

func (l *Lease) giveUp(ctx context.Context, term *Term) error {
	return l.db.Tx(ctx, func(tx db.Tx) error {
		result := tx.Gorm().Exec(
			"UPDATE leader_leases SET leader = '', expires = clock_timestamp() WHERE lease_type = ? AND term = ?::uuid AND expires > clock_timestamp()",
			l.leaseType, term.id)
		if result.Error != nil || result.RowsAffected == 0 {
			return result.Error
		}
		tx.Notify(Channel, l.leaseType)
		return nil
	})
}

// Package clock is the one source of wall-clock time.
//
// It is for time stamps that are stored or compared with stored ones. It is not
// for measuring durations inside a process: use time.Now and its monotonic part.
// Invariant: a time stamp is UTC and whole microseconds, as PostgreSQL keeps it,
// so that the value of a POST reply equals that of a later GET.
package clock

import "time"

// Clock gives the present time.
type Clock func() time.Time

// System is the machine's clock.
func System() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

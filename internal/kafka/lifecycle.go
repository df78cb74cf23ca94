package kafka

import (
	"slices"
	"time"
)

// Status is where an instance stands in its life. The value is the wire's.
type Status string

// The statuses. There is none for "deleted": the row is soft-deleted then.
const (
	Reserving    Status = "reserving" // hidden: nobody outside sees the row
	Accepted     Status = "accepted"
	Preparing    Status = "preparing"
	Provisioning Status = "provisioning"
	Ready        Status = "ready"
	Failed       Status = "failed"
	Deprovision  Status = "deprovision"
	Deleting     Status = "deleting"
	Suspending   Status = "suspending"
	Suspended    Status = "suspended"
	Resuming     Status = "resuming"
)

// Event is a reason for a transition.
type Event string

// The events. See the table for what each means.
const (
	Reserved        Event = "reserved"
	Unreserved      Event = "unreserved"
	Placed          Event = "placed"
	Unplaceable     Event = "unplaceable"
	Prepared        Event = "prepared"
	PrepareFailed   Event = "prepare_failed"
	Rejected        Event = "rejected"
	RejectedFull    Event = "rejected_full"
	Reassigned      Event = "reassigned"
	BecameReady     Event = "became_ready"
	ReportedFailed  Event = "reported_failed"
	TimedOut        Event = "timed_out"
	SuspendAsked    Event = "suspend_asked"
	ReportedSuspend Event = "reported_suspended"
	ResumeAsked     Event = "resume_asked"
	DeleteAsked     Event = "delete_asked"
	ReportedDeleted Event = "reported_deleted"
	NeverPlaced     Event = "never_placed"
	Erased          Event = "erased"
)

// Actor is who may cause an event.
type Actor string

// The actors.
const (
	ByUser  Actor = "user"
	ByAdmin Actor = "admin"
	ByAgent Actor = "agent"
	ByLoop  Actor = "loop"
)

// Transition is one allowed change of status.
type Transition struct {
	Event  Event
	From   []Status
	To     Status
	Actors []Actor
	Final  bool // the row is soft-deleted with it
	Doc    string
}

// StatusInfo is what a status means and how long it may last.
type StatusInfo struct {
	Status   Status
	Doc      string
	Loop     string        // the loop that looks after the row; empty: none does
	Hidden   bool          // no API shows the row or counts it
	AtOnce   bool          // the loop acts on entry; else the row waits for somebody else until the deadline
	Deadline time.Duration // from status_changed_at; 0: none
	// OnDeadline is the event that ends the wait.
	OnDeadline Event
}

var statuses = []StatusInfo{
	{Status: Reserving, Loop: "reserving_kafka", Hidden: true, Deadline: 15 * time.Second, OnDeadline: Unreserved,
		Doc: "hidden: holds name and room while its quota is reserved outside; whoever left it there is undone"},
	{Status: Accepted, Loop: "accepted_kafka", AtOnce: true, Deadline: time.Hour, OnDeadline: Unplaceable,
		Doc: "stored; waits for a cluster, and at most five minutes for a usable version on it"},
	{Status: Preparing, Loop: "preparing_kafka", AtOnce: true, Deadline: 5 * time.Minute, OnDeadline: PrepareFailed,
		Doc: "host name and SSO client are being made; a refusal fails at once, an unavailable upstream at the deadline"},
	{Status: Provisioning, Loop: "provisioning_kafka", Deadline: time.Hour, OnDeadline: TimedOut,
		Doc: "handed to the agent of its cluster; without a cluster it is placed again"},
	{Status: Ready, Doc: "usable"},
	{Status: Failed, Doc: "failed_reason says why; the agent may still report it ready"},
	{Status: Deprovision, Loop: "deleting_kafka", AtOnce: true, Doc: "deletion was asked for; the agent removes the instance"},
	{Status: Deleting, Loop: "deleting_kafka", AtOnce: true, Doc: "gone from the data plane; everything outside is being removed"},
	{Status: Suspending, Doc: "the agent takes the workload down"},
	{Status: Suspended, Doc: "no workload runs; the data is kept"},
	{Status: Resuming, Loop: "provisioning_kafka", Deadline: time.Hour, OnDeadline: TimedOut, Doc: "the agent brings the workload back"},
}

// transitions is every change of status in this system. Data only: who decides
// that an event happened is elsewhere, that it is legal is here.
var transitions = []Transition{
	{Event: Reserved, From: []Status{Reserving}, To: Accepted, Actors: []Actor{ByUser},
		Doc: "the quota is reserved; the customer reads that the order is accepted"},
	{Event: Unreserved, From: []Status{Reserving}, To: Reserving, Final: true, Actors: []Actor{ByUser, ByLoop},
		Doc: "the quota was refused, or the order was left half way and nothing of it is outside any more"},
	{Event: Placed, From: []Status{Accepted}, To: Preparing, Actors: []Actor{ByLoop},
		Doc: "a cluster with a usable version was chosen"},
	{Event: Unplaceable, From: []Status{Accepted}, To: Failed, Actors: []Actor{ByLoop},
		Doc: "no cluster, or none with a usable version, before the deadline"},
	{Event: Prepared, From: []Status{Preparing}, To: Provisioning, Actors: []Actor{ByLoop},
		Doc: "all that must exist outside exists; the agent may take over"},
	{Event: PrepareFailed, From: []Status{Preparing}, To: Failed, Actors: []Actor{ByLoop},
		Doc: "an upstream refused, or was not available until the deadline"},
	{Event: Rejected, From: []Status{Provisioning}, To: Provisioning, Actors: []Actor{ByAgent},
		Doc: "the agent rejected the placement; the same cluster gets a new placement id"},
	{Event: RejectedFull, From: []Status{Provisioning}, To: Provisioning, Actors: []Actor{ByAgent},
		Doc: "the cluster has no room; everything bound to it is cleared"},
	{Event: Reassigned, From: []Status{Provisioning}, To: Provisioning, Actors: []Actor{ByLoop},
		Doc: "another cluster was chosen"},
	{Event: BecameReady, From: []Status{Provisioning, Resuming, Failed}, To: Ready, Actors: []Actor{ByAgent, ByLoop},
		Doc: "the agent reports ready and the DNS routes exist, whichever comes last"},
	{Event: ReportedFailed, From: []Status{Provisioning, Ready, Resuming}, To: Failed, Actors: []Actor{ByAgent},
		Doc: "the agent reports an error"},
	{Event: TimedOut, From: []Status{Provisioning, Resuming}, To: Failed, Actors: []Actor{ByLoop},
		Doc: "the agent did not report ready before the deadline"},
	{Event: SuspendAsked, From: []Status{Ready}, To: Suspending, Actors: []Actor{ByAdmin},
		Doc: "an administrator suspends the instance"},
	{Event: ReportedSuspend, From: []Status{Suspending}, To: Suspended, Actors: []Actor{ByAgent},
		Doc: "the agent reports the workload gone"},
	{Event: ResumeAsked, From: []Status{Suspended}, To: Resuming, Actors: []Actor{ByAdmin},
		Doc: "an administrator resumes the instance"},
	{Event: DeleteAsked, To: Deprovision, Actors: []Actor{ByUser, ByAdmin},
		From: []Status{Accepted, Preparing, Provisioning, Ready, Failed, Suspending, Suspended, Resuming},
		Doc:  "the customer or an administrator deletes the instance; never undone"},
	{Event: ReportedDeleted, From: []Status{Deprovision}, To: Deleting, Actors: []Actor{ByAgent},
		Doc: "the agent reports everything removed"},
	{Event: NeverPlaced, From: []Status{Deprovision}, To: Deleting, Actors: []Actor{ByLoop},
		Doc: "no agent ever saw the instance, so none has to remove it"},
	{Event: Erased, From: []Status{Deleting}, To: Deleting, Final: true, Actors: []Actor{ByLoop},
		Doc: "every external resource is closed; the row is soft-deleted"},
}

// Statuses gives what is known of each status, in the order of a life.
func Statuses() []StatusInfo { return slices.Clone(statuses) }

// Transitions gives the transition table.
func Transitions() []Transition { return slices.Clone(transitions) }

// transitionOf finds the row of an event.
func transitionOf(event Event) (Transition, bool) {
	for _, t := range transitions {
		if t.Event == event {
			return t, true
		}
	}
	return Transition{}, false
}

// Info gives what is known of a status; the zero value for an unknown one.
func (s Status) Info() StatusInfo {
	for _, info := range statuses {
		if info.Status == s {
			return info
		}
	}
	return StatusInfo{}
}

// settled tells whether an instance may stay in the status for ever.
func (s Status) settled() bool { return s == Ready || s == Suspended || s == Failed }

// InDeletion tells whether the instance is on its irrevocable way out.
func (s Status) InDeletion() bool { return s == Deprovision || s == Deleting }

// dueAt is when a row that entered the status at that time wants attention:
// at once where a loop acts, at the deadline where it waits for somebody else.
// Rows that nobody has to look at again are due far in the future.
func (s Status) dueAt(entered time.Time) time.Time {
	info := s.Info()
	switch {
	case info.AtOnce:
		return entered
	case info.Deadline > 0:
		return entered.Add(info.Deadline)
	default:
		return entered.AddDate(100, 0, 0)
	}
}

// overdue tells whether the row has outlived its status's deadline.
func (k Kafka) overdue(now time.Time) bool {
	deadline := k.Status.Info().Deadline
	return deadline > 0 && now.Sub(k.StatusChangedAt) >= deadline
}

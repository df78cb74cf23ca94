package cluster

import (
	"slices"
	"time"
)

// Status is where a cluster stands in its life. The value is the wire's.
type Status string

// The statuses. There is none for "deleted": the row is soft-deleted then.
const (
	Accepted        Status = "cluster_accepted"
	Provisioning    Status = "cluster_provisioning"
	Provisioned     Status = "cluster_provisioned"
	WaitingForAgent Status = "waiting_for_kas_fleetshard_operator"
	Ready           Status = "ready"
	Failed          Status = "failed"
	Deprovisioning  Status = "deprovisioning"
	Cleanup         Status = "cleanup"
)

// Event is a reason for a transition.
type Event string

// The events. See the table for what each means.
const (
	InstallFinished   Event = "install_finished"
	InstallFailed     Event = "install_failed"
	TerraformFinished Event = "terraform_finished"
	AgentReady        Event = "agent_ready"
	AgentNotReady     Event = "agent_not_ready"
)

// Actor is who may cause an event.
type Actor string

// The actors.
const (
	ByAgent Actor = "agent"
	ByLoop  Actor = "loop"
)

// Transition is one allowed change of status.
type Transition struct {
	Event  Event
	From   []Status
	To     Status
	Actors []Actor
	Doc    string
}

// StatusInfo is what a status means and how long it may last.
type StatusInfo struct {
	Status Status
	Doc    string
	Loop   string // the loop that looks after rows in it; empty: none does
	// Again is how long a row is left alone after it was found in order. Zero: the
	// loop acts at once and goes on until the row leaves the status.
	Again time.Duration
	// Deadline is after which time, from status_changed_at, a row is counted as
	// overdue; 0: never. It ends nothing: a cluster that costs money and may still
	// come up is for a person to judge.
	Deadline time.Duration
}

// Recheck is how often a cluster that is in use is compared with what it should be.
const Recheck = 10 * time.Minute

// LoopName is the loop that looks after clusters, one by one.
const LoopName = "cluster"

var statuses = []StatusInfo{
	{Status: Accepted, Deadline: time.Hour, Doc: "wanted; not yet asked for at the provider"},
	{Status: Provisioning, Loop: LoopName, Deadline: 2 * time.Hour, Doc: "the provider installs it"},
	{Status: Provisioned, Loop: LoopName, Deadline: time.Hour,
		Doc: "installed; its agent gets an SSO client, and the add-ons are being installed"},
	{Status: WaitingForAgent, Loop: LoopName, Again: Recheck, Deadline: 30 * time.Minute,
		Doc: "equipped; its agent has not reported it ready, or not ready any more"},
	{Status: Ready, Loop: LoopName, Again: Recheck, Doc: "takes instances"},
	{Status: Failed, Doc: "the provider could not install it; status_details says why"},
	{Status: Deprovisioning, Deadline: 2 * time.Hour, Doc: "is being removed at the provider"},
	{Status: Cleanup, Deadline: time.Hour, Doc: "gone at the provider; what else belongs to it is being removed"},
}

// transitions is every change of status in this system. Data only: who decides
// that an event happened is elsewhere, that it is legal is here.
var transitions = []Transition{
	{Event: InstallFinished, From: []Status{Provisioning}, To: Provisioned, Actors: []Actor{ByLoop},
		Doc: "the provider reports the cluster usable"},
	{Event: InstallFailed, From: []Status{Provisioning}, To: Failed, Actors: []Actor{ByLoop},
		Doc: "the provider gave the installation up"},
	{Event: TerraformFinished, From: []Status{Provisioned}, To: WaitingForAgent, Actors: []Actor{ByLoop},
		Doc: "DNS name and agent's account are known and all add-ons are ready"},
	{Event: AgentReady, From: []Status{WaitingForAgent}, To: Ready, Actors: []Actor{ByAgent},
		Doc: "the agent reports the cluster ready"},
	{Event: AgentNotReady, From: []Status{Ready}, To: WaitingForAgent, Actors: []Actor{ByAgent},
		Doc: "the agent reports the cluster not ready; it gets no new instances"},
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

// reports tells whether the agent has a say in the status.
func (s Status) reports() bool { return s == WaitingForAgent || s == Ready }

// dueAt is when a row that entered the status at that time wants attention:
// at once where a loop acts, later where it only checks. Rows that nobody looks
// after are due far in the future.
func (s Status) dueAt(entered time.Time) time.Time {
	info := s.Info()
	if info.Loop == "" {
		return entered.AddDate(100, 0, 0)
	}
	return entered.Add(info.Again)
}

// overdue tells whether the row has outlived its status's deadline.
func (c Cluster) overdue(now time.Time) bool {
	deadline := c.Status.Info().Deadline
	return deadline > 0 && now.Sub(c.StatusChangedAt) >= deadline
}

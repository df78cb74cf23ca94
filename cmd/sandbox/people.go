package main

import (
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ams"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/ocm"
	"github.com/kas-fleet/kas-fleet-manager/test/emulator/sso"
)

// The realms of the SSO.
const (
	customerRealm = "redhat-external" // people
	accountRealm  = "rhoas"           // service accounts, agents, canaries, where the fleet manager keeps them
	adminRealm    = "rhoas-kafka-sre" // administrators
)

// publicClient is a client of the SSO that needs no secret, as pages and tools of people have it.
const publicClient = "cloud-services"

// The organisations.
const (
	mainOrg    = "13640203" // plenty of quota
	strangeOrg = "99000001" // no quota: trial instances only
	limitedOrg = "99000002" // quota for one streaming unit
	serviceOrg = "88000001" // the fleet manager's own, where the SSO keeps accounts
)

const (
	mainQuota  = 100
	deniedUser = "eve"
	kafkaZone  = "kafka.sandbox.test"
	fleetAddon = "kas-fleetshard-operator"
)

// people can all log in with their name as their password.
func people() []sso.User {
	users := []sso.User{
		{Username: "alice", OrgID: mainOrg, AccountID: "1001"},
		{Username: "bob", OrgID: mainOrg, AccountID: "1002"},
		{Username: "carol", OrgID: mainOrg, AccountID: "1003", OrgAdmin: true},
		{Username: deniedUser, OrgID: mainOrg, AccountID: "1004"},
		{Username: "mallory", OrgID: strangeOrg, AccountID: "2001"},
		{Username: "dave", OrgID: limitedOrg, AccountID: "3001"},
		{Username: "nora", AccountID: "4001"},
		{Realm: adminRealm, Username: "admin", Roles: []string{"kas-fleet-manager-admin-full"}},
		{Realm: adminRealm, Username: "admin-writer", Roles: []string{"kas-fleet-manager-admin-write"}},
		{Realm: adminRealm, Username: "admin-reader", Roles: []string{"kas-fleet-manager-admin-read"}},
	}
	for i := range users {
		users[i].Password = users[i].Username
	}
	return users
}

// tokenOwners says whose access token each variable of sandbox.env holds.
func tokenOwners() map[string]string {
	return map[string]string{
		"USER_TOKEN": "alice", "COLLEAGUE_TOKEN": "bob", "ORG_ADMIN_TOKEN": "carol", "DENIED_TOKEN": deniedUser,
		"STRANGER_TOKEN": "mallory", "LIMITED_TOKEN": "dave", "NO_ORG_TOKEN": "nora",
		"ADMIN_TOKEN": "admin", "ADMIN_WRITE_TOKEN": "admin-writer", "ADMIN_READ_TOKEN": "admin-reader",
	}
}

func accounts() []ams.Account {
	var all []ams.Account
	for _, u := range people() {
		if u.OrgID != "" {
			all = append(all, ams.Account{ID: u.AccountID, Username: u.Username, OrgExternalID: u.OrgID})
		}
	}
	return all
}

func organisations() []ams.Organisation {
	quota := func(standard int) []ams.Quota {
		return []ams.Quota{
			{Product: "RHOSAK", BillingModel: "standard", Allowed: standard},
			{Product: "RHOSAKTrial", BillingModel: "standard", Allowed: 1, Free: true}, // one of each user, whatever the organisation has
		}
	}
	return []ams.Organisation{
		{ExternalID: mainOrg, Name: "Main", Quota: quota(mainQuota)},
		{ExternalID: strangeOrg, Name: "Strange", Quota: quota(0)},
		{ExternalID: limitedOrg, Name: "Limited", Quota: quota(1)},
	}
}

// clusters are the data planes, the first of which sandbox.env is about.
func clusters() []ocm.Cluster {
	return []ocm.Cluster{
		{
			ID: "1sandbox0000000000000000000000c1", Name: "mk-sandbox1", CloudProvider: "aws", Region: "us-east-1",
			MultiAZ: true, DNS: "apps.mk-sandbox1.example.test",
		},
		{
			ID: "1sandbox0000000000000000000000c2", Name: "mk-sandbox2", CloudProvider: "aws", Region: "us-east-1",
			MultiAZ: true, DNS: "apps.mk-sandbox2.example.test",
		},
	}
}

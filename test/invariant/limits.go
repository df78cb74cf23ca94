package invariant

// capacity counts the room taken on the clusters anew (I5).
func (c *check) capacity() error {
	var counts []struct {
		ClusterID                      string
		CapacityUsed, CapacityLimit, N int
	}
	err := c.scan(&counts, `SELECT c.cluster_id, c.capacity_used, c.capacity_limit, coalesce(sum(k.capacity_consumed), 0) AS n FROM clusters c
		LEFT JOIN kafka_requests k ON k.cluster_id = c.cluster_id AND k.deleted_at IS NULL AND k.status <> 'deleting'
		WHERE c.deleted_at IS NULL GROUP BY 1, 2, 3`)
	for _, n := range counts {
		if n.CapacityUsed != n.N {
			c.violated("I5", "cluster %s counts %d units, its instances have %d", n.ClusterID, n.CapacityUsed, n.N)
		}
		if n.CapacityLimit >= 0 && n.N > n.CapacityLimit {
			c.violated("I5", "cluster %s holds %d units, more than its %d", n.ClusterID, n.N, n.CapacityLimit)
		}
	}
	return err
}

// quotas counts what organisations and regions use (I5).
func (c *check) quotas() error {
	var used []struct {
		What string
		N    int
	}
	if err := c.scan(&used, `SELECT organisation_id AS what, sum(quota_consumed) AS n FROM kafka_requests
		WHERE deleted_at IS NULL AND instance_type = 'standard' GROUP BY 1`); err != nil {
		return err
	}
	for _, u := range used {
		if limit, known := c.fleet.Limits.Organisations[u.What]; known && u.N > limit {
			c.violated("I5", "organisation %s uses %d units, more than its %d", u.What, u.N, limit)
		}
	}
	used = nil
	if err := c.scan(&used, `SELECT cloud_provider || '/' || region AS what, sum(capacity_consumed) AS n FROM kafka_requests
		WHERE deleted_at IS NULL GROUP BY 1`); err != nil {
		return err
	}
	for _, u := range used {
		if limit, known := c.fleet.Limits.Regions[u.What]; known && u.N > limit {
			c.violated("I5", "region %s holds %d units, more than its %d", u.What, u.N, limit)
		}
	}
	return nil
}

// unique looks for names and hosts that two live instances have (I6). It goes by
// the rows: an index may be missing.
func (c *check) unique() error {
	for what, query := range map[string]string{
		"name": `SELECT organisation_id || '/' || name FROM kafka_requests WHERE deleted_at IS NULL GROUP BY 1 HAVING count(*) > 1`,
		"host": `SELECT bootstrap_server_host FROM kafka_requests WHERE deleted_at IS NULL AND bootstrap_server_host <> '' GROUP BY 1 HAVING count(*) > 1`,
		"key":  `SELECT kind || ' ' || key FROM external_resources GROUP BY 1 HAVING count(*) > 1`,
	} {
		var twice []string
		if err := c.scan(&twice, query); err != nil {
			return err
		}
		for _, value := range twice {
			c.violated("I6", "the %s %s is there twice", what, value)
		}
	}
	return nil
}

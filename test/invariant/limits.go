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

// usage counts anew what the sums of the database say (I5).
func (c *check) usage() error {
	var wrong []struct {
		What                      string
		Instances, N, Units, Size int
	}
	err := c.scan(&wrong, `WITH counted AS (
			SELECT organisation_id, instance_type, owner, cloud_provider, region, actual_kafka_billing_model, desired_kafka_billing_model,
				count(*) AS n, sum(capacity_consumed) AS size FROM kafka_requests WHERE deleted_at IS NULL GROUP BY 1, 2, 3, 4, 5, 6, 7)
		SELECT concat_ws('/', organisation_id, instance_type, owner, cloud_provider, region, actual_kafka_billing_model, desired_kafka_billing_model) AS what,
			coalesce(instances, 0) AS instances, coalesce(n, 0) AS n, coalesce(units, 0) AS units, coalesce(size, 0) AS size
		FROM kafka_usage FULL JOIN counted USING
			(organisation_id, instance_type, owner, cloud_provider, region, actual_kafka_billing_model, desired_kafka_billing_model)
		WHERE (instances, units) IS DISTINCT FROM (n, size)`)
	for _, w := range wrong {
		c.violated("I5", "%s counts %d instances with %d units, there are %d with %d", w.What, w.Instances, w.Units, w.N, w.Size)
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

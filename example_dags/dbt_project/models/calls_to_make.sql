-- Whom to call first: a model over predictions that stand in a table already.
SELECT customer, risk
FROM {{ ref('scored_customers') }}
WHERE will_leave = 1
ORDER BY risk DESC

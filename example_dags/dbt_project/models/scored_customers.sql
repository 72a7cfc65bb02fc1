-- Each customer with what the model says of it.
SELECT
    customer,
    churn(tenure, monthly_spend, support_calls) AS will_leave,
    round(churn_predict_proba(tenure, monthly_spend, support_calls).output_feature_1, 4) AS risk
FROM {{ ref('customers') }}

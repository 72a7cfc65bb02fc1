"""Airflow provider of Gristmill: operators, sensors and triggers over the shared core."""

-- A second session, whose transaction stays open while others commit. It takes the contrib extension dblink, and a login
-- of this role on the server itself without a password.
create extension if not exists dblink;
select dblink_connect('other', string_agg(format('%s=''%s''', key, regexp_replace(value, '([''\\])', '\\\1', 'g')), ' '))
from (values
  ('host', split_part(current_setting('unix_socket_directories'), ',', 1)),
  ('port', current_setting('port')),
  ('dbname', current_database()),
  ('user', current_user)
) as own (key, value)
where value <> '';

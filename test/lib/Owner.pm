# SQL that gives everything of Immich's schema to one role, as where Immich's role owns it.
package Owner;

use strict;
use warnings FATAL => 'all';

use Exporter qw(import);

our @EXPORT_OK = qw(owned_by);

# One DO statement for the tables, functions and enum types of schema public that no extension owns.
sub owned_by
{
	my ($role) = @_;
	my $own = q{NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = o.oid AND d.deptype = 'e')};
	return <<"SQL";
DO \$give\$
DECLARE r record;
BEGIN
  FOR r IN SELECT 'TABLE ' || o.oid::regclass AS t FROM pg_class o
      WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') AND $own
    UNION ALL SELECT 'ROUTINE ' || o.oid::regprocedure FROM pg_proc o WHERE pronamespace = 'public'::regnamespace AND $own
    UNION ALL SELECT 'TYPE ' || o.oid::regtype FROM pg_type o WHERE typnamespace = 'public'::regnamespace AND typtype = 'e' LOOP
    EXECUTE format('ALTER %s OWNER TO %I', r.t, \$role\$$role\$role\$);
  END LOOP;
END \$give\$;
SQL
}

1;

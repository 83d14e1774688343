-- The shop that every scenario finds in its database.
CREATE TABLE customers (id int PRIMARY KEY, name text, region text);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int, amount numeric(10,2), status text);
INSERT INTO customers VALUES (1, 'ann', 'eu'), (2, 'bob', 'us'), (3, 'cid', 'eu');
INSERT INTO orders VALUES (1, 1, 10, 'new'), (2, 1, 20, 'paid'), (3, 2, 30, 'paid');
